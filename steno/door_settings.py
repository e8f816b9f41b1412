"""The settings of the doors: how requests come in, are held open and are answered, and whom the server calls by itself."""

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode

from steno import lists
from steno.webhooks.signing import check_secrets


class DoorSettings(BaseSettings):
    """The part of Settings that only doors and deliveries read; steno/config.py has the rest, and what they have in common."""

    upload_idle_limit: float = Field(
        60.0,
        validation_alias="STENO_UPLOAD_IDLE_LIMIT",
        gt=0,
        description="Seconds an upload, or a recording fetched from a URL, may pause before it is refused.",
    )
    upload_time_limit: float = Field(
        4 * 3600.0,
        validation_alias="STENO_UPLOAD_TIME_LIMIT",
        gt=0,
        description="Seconds an upload, or the fetching of a URL, may take as a whole; one that comes in pieces, each of them.",
    )
    tus_expiry: float = Field(
        24 * 3600.0,
        validation_alias="STENO_TUS_EXPIRY",
        gt=0,
        le=10 * 365 * 86_400,
        description="Seconds after its last byte until which an unfinished resumable upload can be gone on with. Its bytes go "
        "then, or STENO_UPLOAD_TIME_LIMIT after that byte if this is later. Set it for API and workers alike.",
    )
    tus_lock: float = Field(
        5.0,
        validation_alias="STENO_TUS_LOCK",
        ge=0.5,
        description="Seconds after which a resumable upload is free for another request whose own is silent, or whose API died.",
    )
    url_fetch: bool = Field(
        False,
        validation_alias="STENO_URL_FETCH",
        description="Fetch recordings from URLs that clients name instead of a file: see docs/urls.md.",
    )
    url_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_URL_NETWORKS",
        description="Networks from which recordings may be fetched although they are not public, comma separated, such as "
        "10.1.0.0/16.",
    )
    webhook_secrets: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_WEBHOOK_SECRETS",
        repr=False,
        description="Secrets that sign webhooks, comma separated, each whsec_ and the base64 of 24 to 64 random bytes; all of "
        "them sign, so that one can follow another. Empty: callback URLs are refused. Set it for API and workers alike.",
    )
    webhook_networks: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_WEBHOOK_NETWORKS",
        description="Networks that webhooks may call although they are not public, comma separated, such as 10.1.0.0/16. "
        "Set it for API and workers alike.",
    )
    events_life: float = Field(
        600.0,
        validation_alias="STENO_EVENTS_LIFE",
        gt=0,
        description="Seconds after which an event stream is ended for the client to open another, from where it was.",
    )
    openai_engine: str | None = Field(
        None,
        validation_alias="STENO_OPENAI_ENGINE",
        description="Engine of the /v1 routes where a request names only a model, and of /asr and /detect-language. Unset: the "
        "first of whisperx, faster-whisper, timestamped and pocketsphinx that a live worker offers.",
    )
    openai_aliases: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_OPENAI_ALIASES",
        description="Model names of the /v1 routes, and of /asr: alias=engine/model, comma separated. whisper-1, "
        "gpt-4o-transcribe, gpt-4o-mini-transcribe and gpt-4o-transcribe-diarize stand for the default engine and model unless "
        "named here.",
    )
    openai_wait: float = Field(
        540.0,
        validation_alias="STENO_OPENAI_WAIT",
        gt=0,
        description="Seconds that a /v1 request waits for its transcript before it is answered with 504; the job goes on. "
        "OpenAI's own clients give up after 600.",
    )
    openai_queue: int = Field(
        100,
        validation_alias="STENO_OPENAI_QUEUE",
        ge=0,
        description="Jobs that may wait in the queues; while there are more, requests of /v1, /asr and /detect-language are "
        "answered with 429 or 503 at once.",
    )
    openai_keep_abandoned: bool = Field(
        False,
        validation_alias="STENO_OPENAI_KEEP_ABANDONED",
        description="Finish the job of a client of /v1, /asr or /detect-language that hung up; otherwise it is canceled.",
    )
    asr_wait: float = Field(
        3600.0,
        validation_alias="STENO_ASR_WAIT",
        gt=0,
        description="Seconds that a request of /asr or /detect-language waits for its transcript before it is answered with 504; "
        "the job goes on. Bazarr gives up after 3600, Speakr after 1800, unless they are told otherwise.",
    )

    _split_door_lists = field_validator("webhook_secrets", "openai_aliases", mode="before")(lists.split)
    _networks = field_validator("webhook_networks", "url_networks", mode="before")(lists.networks)
    _webhook_secrets = field_validator("webhook_secrets")(check_secrets)
    _openai_engine = field_validator("openai_engine")(lists.engine_name)
    _openai_aliases = field_validator("openai_aliases")(lists.aliases)
