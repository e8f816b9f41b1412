"""What a benchmark has to say: named values, and the goal that one of them is held to."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import ge, le, lt
from typing import Final

Value = float | int | str
_RELATIONS: Final = {"<=": le, ">=": ge, "<": lt}


@dataclass(frozen=True)
class Goal:
    """A bound on one of a result's values; `relation` is <=, >= or <."""

    value: str
    relation: str
    bound: float

    def met(self, values: Mapping[str, Value]) -> bool:
        return bool(_RELATIONS[self.relation](values[self.value], self.bound))

    def __str__(self) -> str:
        return f"{self.value} {self.relation} {self.bound:g}"


@dataclass(frozen=True)
class Result:
    """One line of output. Names of values end in their unit where they have one; a result without goal is context."""

    benchmark: str
    measure: str
    values: Mapping[str, Value]
    goal: Goal | None = None

    def line(self) -> str:
        """The result as one JSON object, numbers cut to what the measurement can bear."""
        values = {name: round(value, 3) if isinstance(value, float) else value for name, value in self.values.items()}
        goal, met = (str(self.goal), self.goal.met(self.values)) if self.goal else (None, None)
        return json.dumps({"benchmark": self.benchmark, "measure": self.measure, **values, "goal": goal, "met": met})


def percentile(sample: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the sample does not exceed."""
    return sorted(sample)[max(0, math.ceil(share * len(sample)) - 1)]
