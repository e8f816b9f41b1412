"""Jobs in every state, made the way API, worker and accidents make them."""

from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from steno.config import Settings
from steno.jobs import news
from steno.jobs.options import Options
from steno.jobs.queue import JobQueue, job_key
from steno.jobs.record import ERROR, REQUEST, TRANSCRIPT, Handling, JobRequest, error_record
from steno.jobs.roster import Offer, Roster
from steno.jobs.submit import Submission, submit
from steno.storage import LocalStorage
from steno.transcript import Segment, Transcript, Word

HEARD: Final = Transcript(
    text="Good morning. Tea & <cake>?",
    language="en",
    language_probability=0.98,
    duration=4.0,
    engine="whisperx",
    model="small",
    segments=(
        Segment(0, 0.5, 1.25, "Good morning.", 0.9, None, (Word("Good", 0.5, 0.75, 0.9), Word("morning.", 0.75, 1.25))),
        Segment(
            1,
            2.0,
            3.5,
            "Tea & <cake>?",
            None,
            None,
            (Word("Tea", 2.0, 2.5), Word("&", 2.5, 3.0), Word("<cake>?", 3, 3.5)),
        ),
    ),
    warnings=("It was short.",),
)


@dataclass
class Desk:
    """Where a test takes its jobs from."""

    settings: Settings
    redis: Redis
    queue: JobQueue = field(init=False)
    storage: LocalStorage = field(init=False)

    def __post_init__(self) -> None:
        self.queue = JobQueue(self.settings, self.redis)
        self.storage = LocalStorage(self.settings.upload_dir)

    def offer(self, engine: str, seconds: float, offer: Offer | None = None) -> None:
        """As a live worker would; one that fell silent where `seconds` are negative."""
        Roster(self.redis).announce("a-worker", (engine,), seconds, {engine: offer} if offer else None)

    def queued(self, job_id: str = "job", engine: str = "whisperx", **handling: Any) -> str:
        upload = self.storage.create(job_id, "audio.wav")
        upload.write([memoryview(b"RIFF")])
        sent = Submission(upload, job_id, "audio.wav", "talk.wav", Options(engine, "small"), Handling(**handling))
        submit(self.storage, self.queue, sent)
        return job_id

    def request(self, job_id: str) -> JobRequest:
        return JobRequest.from_dict(self.storage.get(job_id, REQUEST) or {})

    def started(self, job_id: str = "job", **told: Any) -> str:
        """With a worker, which tells this of it."""
        self.queued(job_id)
        job = self._rq(job_id)
        self.redis.lrem(self.queue.queue("whisperx").key, 0, job_id)
        job.meta.update(told)
        job.save_meta()  # type: ignore[no-untyped-call]
        job.set_status(JobStatus.STARTED)
        return job_id

    def finished(self) -> str:
        job_id = self.queued()
        self.storage.put(job_id, TRANSCRIPT, HEARD.to_dict())
        return self.rq_says(job_id, JobStatus.FINISHED)

    def failed(self, code: str = "audio_empty", message: str = "The recording holds no sound.") -> str:
        job_id = self.queued()
        self.storage.put(job_id, ERROR, error_record(code, message, 2))
        return self.rq_says(job_id, JobStatus.FAILED)

    def writes(self, job_id: str, **told: Any) -> None:
        """As a worker would that dies before it can tell anybody."""
        job = self._rq(job_id)
        job.meta.update(told)
        job.save_meta()  # type: ignore[no-untyped-call]

    def tells(self, job_id: str, **told: Any) -> None:
        """As the worker that has it would."""
        self.writes(job_id, **told)
        news.state_changed(self.redis, job_id)

    def hears(self, job_id: str, *numbers: int) -> None:
        """Segments `Line 0`, `Line 1` and so on of this job, a second each, as its worker would tell of them."""
        for number in numbers:
            news.segment_heard(self.redis, job_id, Segment(number, number, number + 1.0, f"Line {number}"))

    def finishes(self, job_id: str) -> None:
        """The worker is done with it."""
        self.storage.put(job_id, TRANSCRIPT, HEARD.to_dict())
        self.rq_says(job_id, JobStatus.FINISHED)
        news.state_changed(self.redis, job_id, over=True)

    def fails(self, job_id: str, code: str, message: str) -> None:
        """The worker gives up on it."""
        self.storage.put(job_id, ERROR, error_record(code, message, 3))
        self.rq_says(job_id, JobStatus.FAILED)
        news.state_changed(self.redis, job_id, over=True)

    def rq_says(self, job_id: str, status: JobStatus) -> str:
        self._rq(job_id).set_status(status)
        return job_id

    def forgotten(self, job_id: str) -> str:
        """Redis came back without it."""
        self.redis.delete(job_key(job_id))
        return job_id

    def _rq(self, job_id: str) -> Job:
        return Job.fetch(job_id, connection=self.redis, serializer=JSONSerializer)
