"""Every setting of Steno: its environment variable, type, unit, default and meaning. Those of the doors: door_settings.py."""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from steno import lists, redis_address
from steno.door_settings import DoorSettings
from steno.engines import ENGINES, installed_engines
from steno.lists import all_models, registered, registered_models, split

DAY = 86_400
YEAR = 365 * DAY


class SettingsError(Exception):
    """A setting has a wrong value; the message names the environment variable and says what is wrong."""


class Settings(DoorSettings):
    """Read from the environment, where an empty variable is as one that is not set; built by hand in tests.

    Frozen: a running process never changes its mind.
    """

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore", env_ignore_empty=True)

    redis_host: str = Field(
        "redis", validation_alias="REDIS_HOST", description="Host of the server of Redis 6.2 or later, or Valkey."
    )
    redis_port: int = Field(
        6379, validation_alias="REDIS_PORT", ge=1, le=65535, description="Port of the Redis server."
    )
    upload_dir: Path = Field(
        Path("/tmp/uploads"),  # noqa: S108 - the specification's default
        validation_alias="UPLOAD_DIR",
        description="Folder that holds one folder per job, called by its id: the recording, the request, the transcript. "
        "Best a folder of Steno's own.",
    )
    max_file_size: int = Field(
        500 * 1024 * 1024,
        validation_alias="MAX_FILE_SIZE",
        ge=1,
        description="Largest recording accepted, in bytes.",
    )
    allowed_formats: Annotated[frozenset[str], NoDecode] = Field(
        frozenset({"mp3", "wav", "m4a", "flac"}),
        validation_alias="ALLOWED_FORMATS",
        description="File extensions accepted, comma separated: of recordings, and of videos, whose audio track is heard. See "
        "docs/engines.md.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="STENO_REDIS_URL",
        repr=False,  # it may hold a password
        description="Full address of the Redis server (redis://, rediss://, unix://); used instead of REDIS_HOST and REDIS_PORT.",
    )
    engines: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_ENGINES",
        description="Engines this deployment offers, comma separated. A worker serves only these; an API with this "
        "set refuses every other engine at once. Empty: a worker serves what is installed, an API accepts every engine.",
    )
    local_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_LOCAL_MODELS",
        description="Model folders registered under a name: engine:name=path, comma separated. Set it for API and workers alike.",
    )
    models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_MODELS",
        description="Models that clients may ask for by name, comma separated, those of STENO_LOCAL_MODELS aside. "
        "Empty: all of Whisper's.",
    )
    default_model: str = Field(
        "small",
        validate_default=True,
        validation_alias="STENO_DEFAULT_MODEL",
        description="Model that the Whisper engines use when a request names none.",
    )
    engine_pythons: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_ENGINE_PYTHONS",
        description="Interpreters that run engines: engine=path, comma separated. Each has Steno and that engine installed "
        "in an environment of its own. Engines without one run in the worker's.",
    )
    align_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_ALIGN_MODELS",
        description="Alignment models of whisperx by language: code=folder or code=name, comma separated. "
        "Languages without one take whisperx's own.",
    )
    diarization_model: str | None = Field(
        None,
        validation_alias="STENO_DIARIZATION_MODEL",
        description="Diarization pipeline of whisperx, a name or a local folder. Unset: whisperx's own, which is gated on "
        "its hub (HF_TOKEN).",
    )
    whisperx_vad: str = Field(
        "pyannote",
        validation_alias="STENO_WHISPERX_VAD",
        pattern="^(pyannote|silero)$",
        description="Voice activity detection of whisperx: pyannote, whose weights it brings, or silero, which it fetches once.",
    )
    device: str = Field(
        "auto",
        validation_alias="STENO_DEVICE",
        pattern="^(auto|cpu|cuda)$",
        description="Where models run: auto, cpu or cuda.",
    )
    compute_type: str = Field(
        "default",
        validation_alias="STENO_COMPUTE_TYPE",
        description="Number format of CTranslate2 models (default, int8, float16, float32 ...); default keeps the "
        "model's own on a CPU, and takes float16 on a GPU that can.",
    )
    threads: int = Field(
        0,
        validation_alias="STENO_THREADS",
        ge=0,
        description="CPU threads of an engine process; 0 takes every core it may use. For what torch computes, OMP_NUM_THREADS "
        "goes first where it is set.",
    )
    model_memory_mb: int = Field(
        0,
        validation_alias="STENO_MODEL_MEMORY_MB",
        ge=0,
        description="Memory that an engine process may fill with loaded models, in MB (2**20 bytes), of the GPU where it uses "
        "one; the least recently used go first. 0 takes half of what the machine, container or GPU has.",
    )
    model_idle_minutes: float = Field(
        30.0,
        validation_alias="STENO_MODEL_IDLE_MINUTES",
        gt=0,
        le=10 * YEAR / 60,
        description="Minutes after which a loaded model that nobody asked for is unloaded.",
    )
    standby: bool = Field(
        True,
        validation_alias="STENO_STANDBY",
        description="Keep a second engine process that has imported torch's libraries but no model (0.5 GB for whisperx), so "
        "that after a crash, a time-out or a cancelled job the next one need not wait for them.",
    )
    max_audio_hours: float = Field(
        12.0,
        validation_alias="STENO_MAX_AUDIO_HOURS",
        gt=0,
        description="Longest recording transcribed, in hours; a small file can hold days of silence.",
    )
    retention_days: float = Field(
        7.0,
        validation_alias="STENO_RETENTION_DAYS",
        gt=0,
        le=100 * YEAR / DAY,
        description="Days that a finished or failed job, its recording and its transcript are kept.",
    )
    max_attempts: int = Field(
        3,
        validation_alias="STENO_MAX_ATTEMPTS",
        ge=1,
        description="How often a job is tried when its engine or its worker dies, or it runs out of time.",
    )
    audio_retention_days: float | None = Field(
        None,
        validation_alias="STENO_AUDIO_RETENTION_DAYS",
        ge=0,
        le=100 * YEAR / DAY,
        description="Days after a job's end that its recording is kept; 0 removes it as soon as there is a transcript. A job "
        "that failed or was canceled keeps it for a day at least, so that it can be retried. Not set: as long as the job.",
    )
    min_free_mb: int = Field(
        200,
        validation_alias="STENO_MIN_FREE_MB",
        ge=0,
        description="Disk space in MB (2**20 bytes) that uploads must leave free; one that would not is answered with 507.",
    )
    retry_delay: float = Field(
        5.0,
        validation_alias="STENO_RETRY_DELAY",
        ge=0,
        description="Whole seconds before a job's second attempt; four times as long before each one more, ten minutes at most.",
    )
    time_limit_base: float = Field(
        120.0,
        validation_alias="STENO_TIME_LIMIT_BASE",
        gt=0,
        description="Seconds an attempt may take whatever the recording's length.",
    )
    time_limit_factor: float = Field(
        10.0,
        validation_alias="STENO_TIME_LIMIT_FACTOR",
        ge=0,
        description="Seconds an attempt may take in addition, for each second of audio.",
    )
    model_load_limit: float = Field(
        1800.0,
        validation_alias="STENO_MODEL_LOAD_LIMIT",
        gt=0,
        description="Seconds that loading a model may take, its first download included.",
    )
    worker_ttl: int = Field(
        20,
        validation_alias="STENO_WORKER_TTL",
        ge=2,
        le=DAY,
        description="Seconds without a sign of life after which a worker counts as dead and its job is run again.",
    )
    shutdown_grace: float = Field(
        8.0,
        validation_alias="STENO_SHUTDOWN_GRACE",
        ge=0,
        description="Seconds a worker told to stop may still work on its job before it gives the job back to the queue.",
    )

    _split_lists = field_validator(
        "allowed_formats", "engines", "models", "local_models", "align_models", "engine_pythons",
        mode="before",
    )(split)  # fmt: skip
    _redis_host = field_validator("redis_host")(redis_address.check_host)
    _redis_url = field_validator("redis_url")(redis_address.check_url)
    _extensions = field_validator("allowed_formats")(lists.extensions)
    _engine_names = field_validator("engines")(lists.engine_names)
    _model_names = field_validator("models")(lists.model_names)
    _model_paths = field_validator("local_models")(lists.model_paths)
    _language_models = field_validator("align_models")(lists.language_models)
    _engine_pythons = field_validator("engine_pythons")(lists.engine_pythons)

    @field_validator("default_model")
    @classmethod
    def _default_is_allowed(cls, value: str, info: ValidationInfo) -> str:
        """A default that every request would be refused for is noticed at the start, not by the first client."""
        names = [registered(entry)[1] for entry in info.data.get("local_models", ())]
        if value not in (*names, *(info.data.get("models") or all_models())):
            raise ValueError("this model is neither in STENO_MODELS nor in STENO_LOCAL_MODELS")
        return value

    @property
    def align_models_by_language(self) -> dict[str, str]:
        """The registered alignment models, by language code."""
        return dict(entry.split("=", 1) for entry in self.align_models)

    @property
    def pythons(self) -> dict[str, str]:
        """The interpreters of those engines that have one of their own."""
        return dict(entry.split("=", 1) for entry in self.engine_pythons)

    @property
    def runnable_engines(self) -> tuple[str, ...]:
        """The engines installed here, of those that the deployment offers. Asks each other interpreter once a process."""
        return tuple(name for name in installed_engines(self.pythons) if not self.engines or name in self.engines)

    @property
    def redis_address(self) -> str:
        """The Redis server as a URL."""
        return self.redis_url or redis_address.url_of(self.redis_host, self.redis_port)

    @property
    def retention_seconds(self) -> int:
        return max(1, int(self.retention_days * DAY))

    @property
    def audio_retention_seconds(self) -> float:
        """How long after its end a job keeps its recording; infinite where that is as long as the job."""
        return math.inf if self.audio_retention_days is None else self.audio_retention_days * DAY

    @property
    def min_free_bytes(self) -> int:
        return self.min_free_mb << 20

    def models_of(self, engine: str) -> tuple[str, ...]:
        """The models of an engine that clients may ask for, the registered ones first."""
        named = (name for name in ENGINES[engine].models if not self.models or name in self.models)
        chosen = named if ENGINES[engine].is_whisper else ENGINES[engine].models
        return tuple(dict.fromkeys((*self.local_models_of(engine), *chosen)))

    def default_model_of(self, engine: str) -> str:
        """The model used where a request names none."""
        return self.default_model if ENGINES[engine].is_whisper else ENGINES[engine].models[0]

    def local_models_of(self, engine: str) -> Mapping[str, Path]:
        """The registered model folders of an engine, by name."""
        return registered_models(self.local_models, engine)


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment. Raises SettingsError naming each variable with a wrong value."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = [
            f"{_variable(e['loc'])}: {e['msg'].removeprefix('Value error, ')}{_given(e['loc'], e['input'])}"
            for e in error.errors()
        ]
        raise SettingsError("Wrong settings. " + "; ".join(problems)) from None


def _variable(place: tuple[int | str, ...]) -> str:
    """The environment variable of a field at fault, which pydantic calls by its own name where the default was."""
    field = Settings.model_fields.get(str(place[0])) if place else None
    return str(field.validation_alias if field else ".".join(map(str, place)))


def _given(place: tuple[int | str, ...], value: object) -> str:
    """What a field at fault was given, unless it is a secret."""
    secret = any(
        str(field.validation_alias) == _variable(place) for field in Settings.model_fields.values() if not field.repr
    )
    return "" if secret else f" (got {redis_address.without_password(repr(value))})"


def usable_cores() -> int:
    """CPU cores that this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
