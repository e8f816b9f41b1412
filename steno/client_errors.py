"""How a request to the service fails, for whoever made it."""

from typing import Final

OUTAGE_SECONDS: Final = 30.0
"""How long a server may be away (restarted, its Redis gone) before it is given up."""


class ClientError(Exception):
    """The service refused, with this HTTP status, or could not be reached; the message is a sentence for a person."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Away(ClientError):
    """The service, or what it needs, is not there at the moment."""
