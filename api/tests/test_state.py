"""What the routes share."""

import asyncio

from api.state import State
from steno.config import Settings


def test_more_questions_to_redis_than_it_has_connections_wait_for_each_other(settings: Settings) -> None:
    """A page of jobs, or a crowd of clients that poll, asks more than a hundred at once."""

    async def ask() -> list[object]:
        state = State(settings)
        try:
            return await asyncio.gather(*(state.redis.ping() for _ in range(300)))
        finally:
            await state.close()

    assert asyncio.run(ask()) == [True] * 300
