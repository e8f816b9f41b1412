"""The delivery log of a job's webhook, and delivering its last event again by hand."""

import asyncio
import time

from fastapi import APIRouter

from api import errors
from api.models import Deliveries
from api.problems import problems
from api.state import AppState
from steno.jobs.record import REQUEST
from steno.storage import Storage, is_job_id
from steno.webhooks.deliveries import Webhook, note, read, write
from steno.webhooks.due import Due

router = APIRouter()


@router.get(
    "/jobs/{job_id}/deliveries",
    summary="What was told to the callback URL?",
    responses=problems(errors.JobNotFound, errors.NoCallback),
)
async def list_deliveries(job_id: str, state: AppState) -> Deliveries:
    """Every event of the job and every attempt to deliver it, oldest first. Read from storage, so Redis may be away."""
    return _shown(job_id, await asyncio.to_thread(_webhook, state.storage, job_id))


@router.post(
    "/jobs/{job_id}/deliveries",
    status_code=202,
    summary="Tell the callback URL again",
    responses=problems(
        errors.JobNotFound,
        errors.NoCallback,
        errors.NothingToDeliver,
        errors.DeliveryUnderWay,
        errors.QueueUnavailable,
        errors.StorageUnavailable,
        errors.OutOfSpace,
    ),
)
async def deliver_again(job_id: str, state: AppState) -> Deliveries:
    """Delivers the job's last event once more, whatever became of it: at once, under the same id, with all its retries."""
    await asyncio.to_thread(_webhook, state.storage, job_id)
    due, now = Due(state.redis), time.time()
    if not await due.hold(job_id, now):
        raise errors.DeliveryUnderWay
    try:
        webhook = await asyncio.to_thread(_again, state.storage, job_id, now)
    finally:
        await due.finish(job_id, now, now)  # a courier looks at it in any case: it may have been due before
    return _shown(job_id, webhook)


def _webhook(storage: Storage, job_id: str) -> Webhook:
    if not is_job_id(job_id) or not storage.has(job_id, REQUEST):
        raise errors.JobNotFound
    webhook = read(storage, job_id)
    if webhook is None:
        raise errors.NoCallback
    return webhook


def _again(storage: Storage, job_id: str, now: float) -> Webhook:
    """Only with the job's lease."""
    webhook = note(storage, job_id, _webhook(storage, job_id), now)
    if not webhook.events:
        raise errors.NothingToDeliver
    webhook = webhook.having(webhook.events[-1].again(now))
    write(storage, job_id, webhook)
    return webhook


def _shown(job_id: str, webhook: Webhook) -> Deliveries:
    return Deliveries.model_validate(
        {"job_id": job_id, "url": webhook.url, "events": webhook.events}, from_attributes=True
    )
