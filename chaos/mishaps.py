"""Faults of the disk, the clock, the queue and the clients."""

import contextlib
import random
import socket
import struct
import time
from typing import Final

import httpx
from redis.exceptions import RedisError

from chaos.book import recordings
from chaos.faults import Fault, Scene
from chaos.proxy import HOST
from chaos.service import ENGINE, held_by
from steno.jobs.state import queue_name

_MINUTE: Final = 60.0
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that sends a reset."""


class DiskFull(Fault):
    """No byte is left where recordings, transcripts and Redis's file are kept."""

    name = "disk-full"

    def strike(self, scene: Scene) -> str:
        scene.service.disk.fill()
        try:
            seconds = scene.halt()
        finally:
            scene.service.disk.clear()
        return f"disk full for {seconds:.1f} s"


class ClockJump(Fault):
    """Every clock jumps by minutes and stays there; or by hours, forth and soon back."""

    name = "clock-jump"

    def strike(self, scene: Scene) -> str:
        before = scene.dice.choice((-50, -5, 0, 5, 50)) * _MINUTE
        scene.service.set_clock(before)
        told = f"clocks now {before / _MINUTE:+.0f} min"
        if scene.dice.random() < 0.5:
            hours = scene.dice.choice((-30, -3, 3, 30))
            scene.halt()
            scene.service.set_clock(hours * 60 * _MINUTE)
            seconds = scene.halt()
            scene.service.set_clock(before)
            told += f", then {hours:+d} h for {seconds:.1f} s"
        return told


class SameJobTwice(Fault):
    """A job that a worker has in hand is in the queue again, twice; so another worker runs it at the same time."""

    name = "same-job-twice"

    def strike(self, scene: Scene) -> str:
        redis = scene.service.redis
        held = [job for pid in scene.service.pids("worker") if (job := held_by(redis, pid))]
        job_id = held[0] if held else scene.book.any_job(scene.dice)
        if job_id is None:
            return "no job to hand out twice"
        with contextlib.suppress(RedisError):
            redis.lpush(f"rq:queue:{queue_name(ENGINE)}", job_id, job_id)
        return f"job {job_id} handed out twice more"


class HangUp(Fault):
    """Clients that go away in the middle of an upload, politely or with a reset."""

    name = "hang-up"

    def strike(self, scene: Scene) -> str:
        many = scene.dice.randint(1, 4)
        for _ in range(many):
            with contextlib.suppress(OSError):
                _half_an_upload(scene.service.stack.port, scene.dice)
        return f"{many} clients gone in mid-upload"


class StreamDropped(Fault):
    """Clients that follow a job's events and go away in the middle."""

    name = "stream-dropped"

    def strike(self, scene: Scene) -> str:
        job_id = scene.book.any_job(scene.dice)
        path = f"{scene.service.url}/jobs/{job_id}/events"
        lines = 0
        with contextlib.suppress(httpx.HTTPError), httpx.stream("GET", path, timeout=5, trust_env=False) as answer:
            for _ in answer.iter_lines():
                lines += 1
                if lines > scene.dice.randint(1, 8):
                    break
        return f"events of job {job_id} dropped after {lines} lines"


def _half_an_upload(port: int, dice: random.Random) -> None:
    recording = dice.choice(list(recordings().values()))
    head = (
        f"POST /transcribe HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {len(recording.body) + 1000}\r\n\r\n--b\r\n"
        f'Content-Disposition: form-data; name="file"; filename="{recording.name}"\r\n\r\n'
    )
    sent = dice.randint(0, len(recording.body))
    with socket.create_connection((HOST, port), timeout=5) as connection:
        connection.sendall(head.encode() + recording.body[:sent])
        time.sleep(dice.uniform(0, 0.2))
        if dice.random() < 0.5:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
