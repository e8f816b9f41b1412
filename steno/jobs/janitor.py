"""What is old goes: jobs past their retention, recordings that need not be kept, and the rests of uploads whose API died.

Also what mends Redis after it lost its memory: unfinished jobs are watched again, every job is listed, every webhook that is
owed is due. Reads all of storage; safe to run twice, and on several machines at once.
"""

import contextlib
import logging
import time
from typing import Final, cast

from steno.config import DAY, Settings
from steno.jobs import steer
from steno.jobs.listing import INDEX
from steno.jobs.queue import UNFINISHED, JobQueue
from steno.jobs.record import OUTCOMES, RECORDING, REQUEST, RETENTION, UPLOAD, JobRequest, Status, iso_time, outcome
from steno.jobs.settle import drop_audio, recordings
from steno.storage import Storage
from steno.webhooks.deliveries import WEBHOOK
from steno.webhooks.due import announce

log = logging.getLogger(__name__)

ORPHAN_SECONDS: Final = 3600.0
"""A folder without a request in which nothing was written for so long is the rest of an upload whose API died.

No running request pauses so long: STENO_UPLOAD_IDLE_LIMIT ends it first."""
_OURS: Final = frozenset(name.partition(".")[0] for name in (RECORDING, UPLOAD, REQUEST, *OUTCOMES, RETENTION, WEBHOOK))
"""What the names of the files of a job begin with."""
_RETRY_SECONDS: Final = 1.0 * DAY
"""A job that failed or was canceled keeps its recording at least so long, so that it can be retried."""
_JUMP_SECONDS: Final = 60.0
"""By which a clock may be set, from one round to the next, while what it says of age is still believed."""


class Janitor:
    """Rounds of all of storage, from one thread: `begin`, `look_at`, `missing`, `forget`."""

    def __init__(self, settings: Settings, storage: Storage, queue: JobQueue) -> None:
        self._settings = settings
        self._storage = storage
        self._queue = queue
        self._listed: set[str] = set()
        self._unseen: set[str] = set()
        self._ahead: float | None = None
        self._ahead_before: float | None = None

    def begin(self) -> None:
        """Begin a round: `look_at` each folder, then `forget` what is `missing`. Raises redis.exceptions.RedisError."""
        members = cast("list[bytes]", self._queue.redis.zrange(INDEX, 0, -1))
        self._listed = {member.decode() for member in members}
        self._ahead_before, self._ahead = self._ahead, _ahead()

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
        if self._is_steady():
            storage.tidy(job_id, ORPHAN_SECONDS)
        if not is_listed:
            self._list(job_id)
        if ended is None:
            self._queue.redis.sadd(UNFINISHED, job_id)
        else:
            self._keep_or_forget(job_id, ended)

    def _look_at_rest(self, job_id: str) -> None:
        """An upload under way, or what is left of one, or of a job half deleted."""
        settings = self._settings
        resumable = self._storage.has(job_id, UPLOAD)
        # The bytes of a piece with a checksum go by another folder, for as long as a piece may take.
        limit = max(settings.tus_expiry, settings.upload_time_limit) if resumable else ORPHAN_SECONDS
        idle = self._storage.idle_seconds(job_id)
        if idle > max(limit, settings.upload_idle_limit * 2) and self._is_steady() and self._is_ours(job_id):
            log.info("%s is the rest of an upload; removed", job_id, extra={"action": "rest_removed"})
            self._storage.delete(job_id)
            self._queue.erase(job_id)

    def _is_ours(self, job_id: str) -> bool:
        """Whether all in the folder is called as Steno calls it: others may have folders there that are called like jobs."""
        return all(name.partition(".")[0] in _OURS for name in self._storage.names(job_id))

    def _list(self, job_id: str) -> None:
        written = self._storage.written_at(job_id, REQUEST)
        if written is not None:  # the request says it to the millisecond, but may be damaged
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._queue.index(job_id, JobRequest.from_dict(self._storage.get(job_id, REQUEST) or {}).created_at)
                return
            self._queue.index(job_id, iso_time(written))

    def _keep_or_forget(self, job_id: str, ended: Status) -> None:
        limits = self._limits(job_id, ended)
        if self._is_due(job_id, *limits):
            # Nobody may be retrying it meanwhile. If somebody is, the next round looks again.
            with contextlib.suppress(steer.StillHeld), steer.alone(self._queue, job_id, patience=0.0):
                self._remove_due(job_id, *limits)
        announce(self._storage, self._queue.redis, job_id)

    def _limits(self, job_id: str, ended: Status) -> tuple[float, float]:
        """Seconds after its end for which the job is kept, and its recording."""
        own = self._storage.get(job_id, RETENTION) or {}
        asked = own.get("delete_after")
        audio_limit = 0.0 if own.get("keep_audio") is False else self._settings.audio_retention_seconds
        if ended is not Status.FINISHED:
            audio_limit = max(audio_limit, _RETRY_SECONDS)
        return self._settings.retention_seconds if asked is None else asked, audio_limit

    def _is_due(self, job_id: str, limit: float, audio_limit: float) -> bool:
        age = self._age(job_id)
        return age > limit or (age > audio_limit and bool(recordings(self._storage, job_id)))

    def _remove_due(self, job_id: str, limit: float, audio_limit: float) -> None:
        age = self._age(job_id)
        if age > limit:
            log.info("Job %s is past its retention; deleted", job_id, extra={"action": "job_expired"})
            self._storage.delete(job_id)
            self._queue.let_go(job_id)
            self._queue.wipe(job_id)
        elif age > audio_limit:
            drop_audio(self._storage, job_id)

    def _age(self, job_id: str) -> float:
        """Seconds since the job ended; 0 while it is not over, or while no clock can be believed."""
        moments = (self._storage.written_at(job_id, record) for record in OUTCOMES)
        ended = next((moment for moment in moments if moment is not None), None)
        age = 0.0 if ended is None else time.time() - ended
        return age if self._is_steady() else 0.0

    def _is_steady(self) -> bool:
        """Whether the clock has gone as time has since the last round: what one that jumped calls old may be new."""
        return self._ahead_before is not None and abs(_ahead() - self._ahead_before) < _JUMP_SECONDS


def _ahead() -> float:
    """Seconds by which the clock is ahead of one that nobody sets."""
    return time.time() - time.monotonic()
