"""The one way in: every door ends here with a recording already in storage and options already checked."""

import contextlib

from steno.jobs.options import Options
from steno.jobs.queue import JobQueue, RedisError
from steno.jobs.record import REQUEST, JobRequest, utc_now
from steno.storage import Storage, Upload


def submit(
    storage: Storage, queue: JobQueue, upload: Upload, job_id: str, audio: str, filename: str, options: Options
) -> JobRequest:
    """Make an upload a job: sync and rename the recording, write the request, enqueue; in that order.

    When this returns, the job survives the death of any process and of Redis. When it raises (StorageFull, RedisError,
    OSError), nothing of the job is left.
    """
    request = JobRequest(
        job_id=job_id,
        options=options,
        filename=filename,
        audio=audio,
        size=upload.size,
        created_at=utc_now(),
    )
    try:
        upload.commit()
        storage.put(job_id, REQUEST, request.to_dict())
        queue.enqueue(request)
    except BaseException:
        # Storage first: a worker that was handed the job all the same finds nothing and lets it go.
        upload.discard()
        with contextlib.suppress(RedisError):
            queue.forget(job_id)
        raise
    return request
