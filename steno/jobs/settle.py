"""What follows once a job is over. Each step may be repeated; where a worker dies in between, the janitor does the rest."""

from redis import Redis

from steno.config import Settings
from steno.jobs import news, reuse
from steno.jobs.queue import JobQueue
from steno.jobs.record import RECORDING, REQUEST, JobRequest, Status, outcome
from steno.storage import Storage
from steno.webhooks.due import announce


def settle(settings: Settings, storage: Storage, queue: JobQueue, job_id: str) -> None:
    """Let go of a job that no worker has any more. Raises RedisError, OSError."""
    data = storage.get(job_id, REQUEST)
    if data is None:  # deleted while it ran
        queue.erase(job_id)
        return
    state = queue.state(job_id)
    if state is not None and state.held:
        return  # RQ could not write down that the job is over: the sweep sees to it
    ended = outcome(storage, job_id)
    if ended is None:
        news.state_changed(queue.redis, job_id)  # it waits again
    else:
        tell_over(storage, queue.redis, job_id)
    match ended:
        case Status.FINISHED:
            _after_success(settings, storage, queue, JobRequest.from_dict(data))
            queue.settle(job_id)
        case Status.FAILED:
            queue.settle(job_id)
        case Status.CANCELED:
            queue.forget(job_id)


def tell_over(storage: Storage, redis: "Redis", job_id: str) -> None:
    """Tell whoever wants to know that a job is over, by storage's account. Twice does no harm. Raises RedisError."""
    news.state_changed(redis, job_id, over=True)
    announce(storage, redis, job_id)


def _after_success(settings: Settings, storage: Storage, queue: JobQueue, request: JobRequest) -> None:
    if storage.has(request.job_id, request.audio):
        digest = storage.digest(request.job_id, request.audio)
        seconds = request.keep_seconds(settings.retention_seconds)
        reuse.remember(queue.redis, digest, request.options, request.job_id, seconds)
        if not storage.has(request.job_id, REQUEST):  # deleted meanwhile
            queue.erase(request.job_id)
            return
    if settings.audio_retention_seconds == 0 or not request.keep_audio:
        drop_audio(storage, request.job_id)


def recordings(storage: Storage, job_id: str) -> list[str]:
    """The names of a job's recording, while it is kept."""
    return [name for name in storage.names(job_id) if name.startswith(RECORDING)]


def drop_audio(storage: Storage, job_id: str) -> None:
    """Remove the recording of a job that no longer needs it. Raises OSError."""
    for name in recordings(storage, job_id):
        storage.remove(job_id, name)
