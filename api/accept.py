"""From a request to a job: what every door does with an upload."""

import asyncio
import functools

from fastapi import Request

from api import errors
from api.forms import NATIVE, Form
from api.idempotency import Claiming
from api.multipart import ClientDisconnect
from api.state import State
from api.storage import Intake
from api.urls import fetch_named
from steno.jobs.submit import Accepted, KeyReused, Overtaken, submit


async def taken_in(
    request: Request, state: State, form: Form = NATIVE, claiming: Claiming | None = None
) -> Accepted | None:
    """The upload as a job; None if the client hung up. From `submit` on there is a whole job or nothing.

    Raises the ApiErrors of a bad form, RedisError, StorageFull.
    """
    intake = Intake(state.settings, state.storage, form)
    try:
        sent = await intake.receive(
            request, functools.partial(fetch_named, request, state) if form.takes_urls else None
        )
        claim = await claiming() if claiming is not None else None
    except ClientDisconnect:
        await intake.discard()
        return None
    except BaseException:
        await intake.discard()
        raise
    try:
        # Shielded: it ends what it began, even if this request is cancelled meanwhile.
        return await asyncio.shield(asyncio.to_thread(submit, state.storage, state.queue, sent, claim))
    except KeyReused as error:
        raise errors.KeyReused from error
    except Overtaken as error:
        raise errors.RequestInProgress from error
