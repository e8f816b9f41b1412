"""Signatures of Standard Webhooks 1.0.0: HMAC-SHA256 over `id.timestamp.body`, keyed by `whsec_` secrets."""

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_PREFIX: Final = "whsec_"
_KEY_BYTES: Final = range(24, 65)
_NEW_KEY_BYTES: Final = 32


def new_secret() -> str:
    """A random secret in the standard's form."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_KEY_BYTES)).decode()


def check_secrets(value: tuple[str, ...]) -> tuple[str, ...]:
    """The secrets, if each has the standard's form. Raises ValueError, which names none of them."""
    for position, secret in enumerate(value, 1):
        if not secret.startswith(_PREFIX) or len(_key(secret)) not in _KEY_BYTES:
            raise ValueError(
                f"secret {position} is not whsec_ followed by the base64 of 24 to 64 random bytes; make one with: "
                f"echo whsec_$(openssl rand -base64 {_NEW_KEY_BYTES})"
            )
    return value


def signed_headers(keys: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of an attempt at `timestamp` (Unix seconds). All secrets sign, so that receivers can change theirs."""
    text = f"{event_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(_key(secret), text, hashlib.sha256)).decode() for secret in keys)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def kept_secret(path: Path) -> str:
    """The secret in a file that only its owner can read, made if there is none.

    Not safe for two processes at once. Raises OSError, and ValueError where the file holds something else.
    """
    if not path.exists():
        fresh = path.with_name(path.name + ".part")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_secret() + "\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(path)
    return check_secrets((path.read_text().strip(),))[0]


def _key(secret: str) -> bytes:
    """The key inside a secret; empty where its base64 is broken."""
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return b""
