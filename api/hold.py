"""`?wait=` of a status: the answer is held until there is news."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from fastapi import Request
from starlette.types import Receive

from api.errors import InvalidField
from api.news import hub_of
from api.state import State
from api.views import JobView

LONGEST_WAIT: Final = 60
WAIT: Final[dict[str, Any]] = {
    "name": "wait",
    "in": "query",
    "required": False,
    "description": "Hold the answer until `status` or `stage` changes, for so many seconds at most. A job that is over "
    "answers at once.",
    "schema": {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT},
}
"""The parameter, for the API's description."""


def patience(request: Request) -> float:
    """The seconds that the request asks to wait, 0 where it does not. Raises InvalidField."""
    if not request.scope["query_string"]:  # clients poll: nothing is parsed for those who ask for nothing
        return 0.0
    asked = request.query_params.get("wait", "0")
    try:
        seconds = float(asked)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:  # not a number is not in there either
        said = f"give a number of seconds from 0 to {LONGEST_WAIT}"
        raise InvalidField(f"The parameter 'wait' is wrong: {said}.", [{"field": "wait", "message": said}])
    return seconds


async def hold(request: Request, state: State, job_id: str, view: JobView, seconds: float) -> None:
    """Returns when the job is no longer as in `view`, the time is over, the client has hung up, or the server stops.

    Raises JobNotFound, and redis.exceptions.RedisError where there is no telling.
    """
    await while_connected(request.receive, hub_of(state).change(job_id, view, seconds))


async def while_connected(receive: Receive, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; it is cancelled when the client hangs up, and only then this is False.

    Call it when the request's body was read or has none.
    """
    return await unless(_hung_up(receive), work)


async def unless(happens: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> bool:
    """Do the work; it is cancelled when the other thing happens first, and only then this is False."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(happens)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if tasks[0].cancelled():
        return False
    tasks[0].result()
    return True


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
