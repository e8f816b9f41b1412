"""Where the Redis server is: what an operator may say of it, and what is shown of that."""

import re
from typing import Final
from urllib.parse import urlsplit

_PASSWORD: Final = re.compile(r"(?<=://)([^/@:]*):[^/]*@")


def check_host(value: str) -> str:
    """Raises ValueError where it is no name or address of a host alone."""
    if not value or any(character in "/@ " for character in value):
        raise ValueError("give the host's name or address alone, or a whole address as STENO_REDIS_URL")
    return value


def check_url(value: str | None) -> str | None:
    """Raises ValueError where its scheme or its port is wrong."""
    if value is None:
        return None
    try:
        parsed = urlsplit(value)
        if parsed.scheme in ("redis", "rediss", "unix") and parsed.port != 0:
            return value
    except ValueError:
        pass
    raise ValueError("give redis://host:port, rediss:// or unix:///path, with a port from 1 to 65535")


def url_of(host: str, port: int) -> str:
    """With an address of IPv6 in brackets."""
    return f"redis://[{host}]:{port}" if ":" in host else f"redis://{host}:{port}"


def without_password(url: str) -> str:
    """As it may be shown."""
    return _PASSWORD.sub(r"\1:***@", url)
