"""What the API, the worker and the client all know: settings, jobs, storage and the transcript.

Comes in: settings from the environment, requests for jobs. Goes out: records, queues, transcripts, the `steno` command.
Never imports `api`, `worker`, FastAPI or a speech library, and does no work at import.
"""

__version__ = "0.1.0"
