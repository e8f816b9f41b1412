"""What is old goes: jobs past their retention, recordings that need not be kept, and the rests of uploads whose API died.

Also what mends Redis after it lost its memory: unfinished jobs are watched again, every job is listed, every webhook that is
owed is due. Reads all of storage; safe to run twice, and on several machines at once.
"""

import contextlib
import logging
import time
from typing import Final, cast

from steno.config import DAY, Settings
from steno.jobs.listing import INDEX
from steno.jobs.queue import UNFINISHED, JobQueue
from steno.jobs.record import OUTCOMES, REQUEST, RETENTION, UPLOAD, JobRequest, Status, iso_time, outcome
from steno.storage import Storage
from steno.webhooks.due import announce

log = logging.getLogger(__name__)

ORPHAN_SECONDS: Final = 3600.0
"""A folder without a request in which nothing was written for so long is the rest of an upload whose API died.

No running request pauses so long: STENO_UPLOAD_IDLE_LIMIT ends it first."""
_RETRY_SECONDS: Final = 1.0 * DAY
"""A job that failed or was canceled keeps its recording at least so long, so that it can be retried."""
_RECORDING: Final = "audio."


class Janitor:
    """Rounds of all of storage, from one thread: `begin`, `look_at`, `missing`, `forget`."""

    def __init__(self, settings: Settings, storage: Storage, queue: JobQueue) -> None:
        self._settings = settings
        self._storage = storage
        self._queue = queue
        self._listed: set[str] = set()
        self._unseen: set[str] = set()
        self._idle: set[str] = set()
        self._idle_before: set[str] = set()

    def begin(self) -> None:
        """Begin a round: `look_at` each folder, then `forget` what is `missing`. Raises redis.exceptions.RedisError."""
        members = cast("list[bytes]", self._queue.redis.zrange(INDEX, 0, -1))
        self._listed = {member.decode() for member in members}
        self._idle_before, self._idle = self._idle, set()

    def missing(self) -> set[str]:
        """Jobs that are listed and had no folder in this round and the last: a deletion lost Redis half-way."""
        missing = self._listed & self._unseen
        self._listed, self._unseen = set(), self._listed
        return missing

    def forget(self, job_id: str) -> None:
        """Have a missing job listed no more. Raises RedisError.

        Should all of storage be away, nothing is lost: jobs are listed again when it is back, and keep their places until then.
        """
        state = self._queue.state(job_id)
        if state is not None and state.status in OUTCOMES.values() and not state.held:
            self._queue.erase(job_id)
        else:
            self._queue.wipe(job_id)

    def look_at(self, job_id: str) -> None:
        """File one folder: forget an old one, remove an orphan, watch an unfinished one. Raises RedisError, OSError."""
        storage, is_listed = self._storage, job_id in self._listed
        self._listed.discard(job_id)
        if not storage.has(job_id, REQUEST):
            self._look_at_rest(job_id)
            return
        ended = outcome(storage, job_id)
        storage.tidy(job_id, ORPHAN_SECONDS)
        if not is_listed:
            self._list(job_id)
        if ended is None:
            self._queue.redis.sadd(UNFINISHED, job_id)
        else:
            self._keep_or_forget(job_id, ended)

    def _look_at_rest(self, job_id: str) -> None:
        """An upload under way, or what is left of one, or of a job half deleted. It goes at the second look: clocks jump."""
        settings = self._settings
        resumable = self._storage.has(job_id, UPLOAD)
        # The bytes of a piece with a checksum go by another folder, for as long as a piece may take.
        limit = max(settings.tus_expiry, settings.upload_time_limit) if resumable else ORPHAN_SECONDS
        if self._storage.idle_seconds(job_id) <= max(limit, settings.upload_idle_limit * 2):
            return
        self._idle.add(job_id)
        if job_id in self._idle_before:
            self._storage.delete(job_id)
            self._queue.erase(job_id)

    def _list(self, job_id: str) -> None:
        written = self._storage.written_at(job_id, REQUEST)
        if written is not None:  # the request says it to the millisecond, but may be damaged
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._queue.index(job_id, JobRequest.from_dict(self._storage.get(job_id, REQUEST) or {}).created_at)
                return
            self._queue.index(job_id, iso_time(written))

    def _keep_or_forget(self, job_id: str, ended: Status) -> None:
        storage, settings = self._storage, self._settings
        own = storage.get(job_id, RETENTION) or {}
        limit = own.get("delete_after")
        age = self._age(job_id, ended)
        audio_limit = 0.0 if own.get("keep_audio") is False else settings.audio_retention_seconds
        if ended is not Status.FINISHED:
            audio_limit = max(audio_limit, _RETRY_SECONDS)
        if age > (settings.retention_seconds if limit is None else limit):
            log.info("Job %s is past its retention; deleted", job_id, extra={"action": "job_expired"})
            storage.delete(job_id)
            self._queue.erase(job_id)
            return
        if age > audio_limit:
            drop_audio(storage, job_id)
        announce(storage, self._queue.redis, job_id)

    def _age(self, job_id: str, ended: Status) -> float:
        """Seconds since the job ended."""
        record = next(name for name, status in OUTCOMES.items() if status is ended)
        written = self._storage.written_at(job_id, record)
        return 0.0 if written is None else time.time() - written


def drop_audio(storage: Storage, job_id: str) -> None:
    """Remove the recording of a job that no longer needs it. Raises OSError."""
    for name in storage.names(job_id):
        if name.startswith(_RECORDING):
            storage.remove(job_id, name)
