"""Run a command with a Redis server and an upload folder of its own: `python scripts/with_redis.py pytest ...`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from steno.redis_server import RedisServer, free_port


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="steno-") as folder:
        port = free_port()
        server = RedisServer(Path(folder) / "redis", port)
        server.start()
        try:
            place = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(port), "UPLOAD_DIR": f"{folder}/uploads"}
            return subprocess.call(sys.argv[1:], env={**os.environ, **place})
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main())
