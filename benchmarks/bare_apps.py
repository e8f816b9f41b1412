"""What one would write without Steno: an upload by FastAPI's UploadFile, and a status route with one read from Redis."""

import os
from pathlib import Path
from typing import Annotated, cast
from uuid import uuid4

from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

from steno.jobs.queue import job_key
from steno.jobs.state import STATUS_FIELDS

app = FastAPI()
_redis = Redis.from_url(os.environ.get("STENO_REDIS_URL", "redis://127.0.0.1"))
_folder = Path(os.environ["UPLOAD_DIR"])


@app.post("/transcribe")
async def upload(file: UploadFile, engine: Annotated[str, Form()]) -> dict[str, str]:
    """The whole file in memory, then on disk, synced: as much of a promise as Steno's answer."""
    content = await file.read()
    job_id = str(uuid4())
    with (_folder / job_id).open("wb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())
    return {"job_id": job_id}


async def _fields(job_id: str) -> JSONResponse:
    values = cast("list[bytes | None]", await _redis.hmget(job_key(job_id), STATUS_FIELDS))
    texts = (value.decode() if value else None for value in values)
    return JSONResponse({"job_id": job_id, **dict(zip(STATUS_FIELDS, texts, strict=True))})


@app.get("/status/{job_id}")
async def status(job_id: str) -> JSONResponse:
    """The same fields from Redis that Steno reads, as they are."""
    return await _fields(job_id)


async def _plain_status(request: Request) -> JSONResponse:
    return await _fields(request.path_params["job_id"])


app.add_route("/plain/{job_id}", _plain_status)  # Starlette's own route: no parameters parsed, no dependencies
