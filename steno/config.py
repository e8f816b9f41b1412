"""Every setting of Steno, in one place: its environment variable, type, unit, default and meaning."""

import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from steno.engines import ENGINES, installed_engines
from steno.languages import LANGUAGES

DAY = 86_400


class SettingsError(Exception):
    """A setting has a wrong value; the message names the environment variable and says what is wrong."""


def _split(value: object) -> object:
    """A comma-separated variable becomes a list; anything else is left to the field's own type."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


class Settings(BaseSettings):
    """Read from the environment; built by hand in tests. Frozen: a running process never changes its mind."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    redis_host: str = Field("redis", validation_alias="REDIS_HOST", description="Host of the Redis server.")
    redis_port: int = Field(
        6379, validation_alias="REDIS_PORT", ge=1, le=65535, description="Port of the Redis server."
    )
    upload_dir: Path = Field(
        Path("/tmp/uploads"),  # noqa: S108 - the specification's default
        validation_alias="UPLOAD_DIR",
        description="Folder that holds one folder per job: the recording, the request, the transcript.",
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
        description="File extensions accepted, comma separated.",
    )
    redis_url: str | None = Field(
        None,
        validation_alias="STENO_REDIS_URL",
        description="Full address of the Redis server (redis://, rediss://, unix://); used instead of REDIS_HOST and REDIS_PORT.",
    )
    engines: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_ENGINES",
        description="Engines this deployment offers, comma separated. A worker serves only these; an API with this "
        "set refuses every other engine at once. Empty: a worker serves what is installed, an API accepts every engine.",
    )
    default_model: str = Field(
        "small",
        validation_alias="STENO_DEFAULT_MODEL",
        description="Model that the Whisper engines use when a request names none.",
    )
    local_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_LOCAL_MODELS",
        description="Model folders registered under a name: engine:name=path, comma separated. Set it for API and workers alike.",
    )
    align_models: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        validation_alias="STENO_ALIGN_MODELS",
        description="Alignment models of whisperx by language: code=folder or code=name, comma separated. "
        "Languages without one take whisperx's own.",
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
        description="Number format of CTranslate2 models (default, int8, float16, float32 ...); default keeps the model's own.",
    )
    threads: int = Field(
        0,
        validation_alias="STENO_THREADS",
        ge=0,
        description="CPU threads of an engine; 0 takes every core it may use.",
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
        description="Days that a finished or failed job, its recording and its transcript are kept.",
    )
    max_attempts: int = Field(
        3,
        validation_alias="STENO_MAX_ATTEMPTS",
        ge=1,
        description="How often a job is tried when its engine or its worker dies, or it runs out of time.",
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
        description="Seconds without a sign of life after which a worker counts as dead and its job is run again.",
    )
    shutdown_grace: float = Field(
        8.0,
        validation_alias="STENO_SHUTDOWN_GRACE",
        ge=0,
        description="Seconds a worker told to stop may still work on its job before it gives the job back to the queue.",
    )
    upload_idle_limit: float = Field(
        60.0,
        validation_alias="STENO_UPLOAD_IDLE_LIMIT",
        gt=0,
        description="Seconds an upload may pause before it is refused.",
    )
    upload_time_limit: float = Field(
        4 * 3600.0,
        validation_alias="STENO_UPLOAD_TIME_LIMIT",
        gt=0,
        description="Seconds an upload may take as a whole.",
    )

    _split_lists = field_validator("allowed_formats", "engines", "local_models", "align_models", mode="before")(_split)

    @field_validator("allowed_formats")
    @classmethod
    def _plain_extensions(cls, value: frozenset[str]) -> frozenset[str]:
        formats = frozenset(part.lower().lstrip(".") for part in value)
        if not formats or not all(part.isascii() and part.isalnum() for part in formats):
            raise ValueError("give file extensions of letters and digits, such as mp3,wav")
        return formats

    @field_validator("engines")
    @classmethod
    def _known_engines(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in ENGINES]:
            raise ValueError(f"no engine is called {', '.join(unknown)}; there are {', '.join(ENGINES)}")
        return value

    @field_validator("local_models")
    @classmethod
    def _engine_name_path(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            engine, colon, rest = entry.partition(":")
            name, equals, path = rest.partition("=")
            if not (colon and equals and name and path and engine in ENGINES):
                raise ValueError(f"'{entry}' is not engine:name=path with an engine of {', '.join(ENGINES)}")
        return value

    @field_validator("align_models")
    @classmethod
    def _language_model(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            code, equals, model = entry.partition("=")
            if not (equals and model and code in LANGUAGES):
                raise ValueError(f"'{entry}' is not code=model with one of Whisper's language codes")
        return value

    @property
    def align_models_by_language(self) -> dict[str, str]:
        """The registered alignment models, by language code."""
        return dict(entry.split("=", 1) for entry in self.align_models)

    @property
    def runnable_engines(self) -> tuple[str, ...]:
        """The engines installed here, of those that the deployment offers."""
        return tuple(name for name in installed_engines() if not self.engines or name in self.engines)

    @property
    def redis_address(self) -> str:
        """The Redis server as a URL."""
        return self.redis_url or f"redis://{self.redis_host}:{self.redis_port}"

    @property
    def retention_seconds(self) -> int:
        return max(1, int(self.retention_days * DAY))

    def local_models_of(self, engine: str) -> dict[str, Path]:
        """The registered model folders of an engine, by name."""
        pairs = (entry.split(":", 1) for entry in self.local_models)
        named = (rest.split("=", 1) for of, rest in pairs if of == engine)
        return {name: Path(path) for name, path in named}


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment. Raises SettingsError naming each variable with a wrong value."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()]
        raise SettingsError("Wrong settings. " + "; ".join(problems)) from None


def usable_cores() -> int:
    """CPU cores that this process may use, which in a container may be fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
