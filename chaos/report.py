"""The figures of a run, as a table for people and as one JSON line."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaos.verify import Findings

_SHOWN: Final = 10
"""Sentences shown of each kind of trouble; the log has what led to them."""


@dataclass(frozen=True)
class Report:
    """`answers` are by HTTP status, `strikes` by fault, `recovery` in seconds; `complaints` are answers that no fault excuses."""

    seed: int
    seconds: float
    accepted: int
    findings: Findings
    complaints: list[str]
    answers: Mapping[int, int]
    strikes: Mapping[str, int]
    recovery: Mapping[str, Mapping[str, float]]
    deliveries: int | None
    keys_kept: bool
    """Whether an upload that became two jobs counts as duplicated: the service promises to honour Idempotency-Key."""
    disk: str

    @property
    def figures(self) -> dict[str, Any]:
        """What is counted; all but the first three lines must be zero."""
        found = self.findings
        duplicated = len(found.duplicated) + (found.twice_uploaded if self.keys_kept else 0)
        return {
            "accepted": self.accepted,
            "finished": found.finished,
            "unanswered": found.unanswered,
            "lost": len(found.lost),
            "failed": len(found.failed),
            "wrong_words": len(found.wrong_words),
            "duplicated": duplicated,
            "leftovers": len(found.leftovers),
            "wrong_answers": len(self.complaints),
        }

    @property
    def ok(self) -> bool:
        figures = self.figures
        bad = ("lost", "failed", "wrong_words", "duplicated", "leftovers", "wrong_answers")
        return self.accepted > 0 and figures["finished"] == self.accepted and not any(figures[name] for name in bad)

    def line(self) -> str:
        """Everything as one JSON object."""
        return json.dumps(
            {
                "chaos": "ok" if self.ok else "failed",
                "seed": self.seed,
                "seconds": round(self.seconds, 1),
                **self.figures,
                "twice_uploaded": self.findings.twice_uploaded,
                "unforeseen": len(self.findings.unforeseen),
                "upload_answers": dict(self.answers),
                "webhook_deliveries": self.deliveries,
                "recovery": self.recovery,
                "strikes": dict(self.strikes),
                "disk": self.disk,
            }
        )

    def table(self) -> str:
        """For reading, with the first sentences about whatever went wrong."""
        rows = [(name, str(value)) for name, value in self.figures.items()]
        rows.append(("uploads that became two jobs", str(self.findings.twice_uploaded)))
        rows.append(("answers to uploads", ", ".join(f"{status}: {n}" for status, n in sorted(self.answers.items()))))
        rows.append(("unforeseen errors in the log", str(len(self.findings.unforeseen))))
        if self.deliveries is not None:
            rows.append(("webhook deliveries", str(self.deliveries)))
        for name, of in self.recovery.items():
            rows.append(
                (name, f"p50 {of['p50_s']:.2f} s, p90 {of['p90_s']:.2f} s, max {of['max_s']:.2f} s, n {of['n']}")
            )
        rows.append(("faults", ", ".join(f"{name} {count}" for name, count in sorted(self.strikes.items()))))
        rows.append(("disk", self.disk))
        rows.append(("seed, seconds", f"{self.seed}, {self.seconds:.0f}"))
        width = max(len(name) for name, _ in rows)
        return "\n".join([f"{name:<{width}}  {value}" for name, value in rows] + self._trouble())

    def _trouble(self) -> list[str]:
        found = self.findings
        kinds = {
            "LOST": found.lost, "FAILED": found.failed, "WRONG WORDS": found.wrong_words, "DUPLICATED": found.duplicated,
            "LEFT OVER": found.leftovers, "WRONG ANSWER": self.complaints,
            "UNFORESEEN": found.unforeseen,
        }  # fmt: skip
        return [f"{kind}: {sentence}" for kind, told in kinds.items() for sentence in told[:_SHOWN]]
