"""A cluster profile: a named description of where cases run. What it grants on this host stands in `budget.py`."""

import os
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from sparkscale.contract import plugins, redaction
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.file_names import checked
from sparkscale.contract.location import local_path
from sparkscale.contract.phrases import count

Pairs = tuple[tuple[str, str], ...]

UNITS = {"m": 2**20, "g": 2**30}
"""What the letters after an amount of memory stand for."""

SPARK_CONTEXT = frozenset({"spark_context"})


class Profile(BaseModel):
    """What profiles of every kind have, as read from `profiles/NAME.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capabilities: ClassVar[frozenset[str]] = SPARK_CONTEXT
    """What a session of this kind offers to the engines that need it."""

    name: str
    summary: str = ""
    cores: int | Literal["all"] = "all"
    memory: str = "75%"
    heap_share: float = Field(default=0.6, gt=0, le=1)
    """Of the memory, what a JVM's heap may take; the rest is for Python workers and the JVM's own needs."""
    storage: str = ""
    """Where prepared data lies, a folder or a URI such as s3://bucket/folder; empty: the user's cache folder."""
    conf: Pairs = ()
    """Further Spark settings, written as a table [conf]."""

    @field_validator("conf", "secrets", mode="before", check_fields=False)
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        return tuple(sorted(value.items())) if isinstance(value, dict) else value

    @field_validator("memory", "driver_memory", "node_memory", check_fields=False)
    @classmethod
    def _memory_is_readable(cls, value: str) -> str:
        if not re.fullmatch(r"\d+[mg]|\d+%", value):
            raise ValueError("write a share of the host like '75%', or an amount like '8g' or '512m'")
        return value

    @field_validator("cores")
    @classmethod
    def _cores_are_some(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("ask for one core or more")
        return value

    @property
    def starts_daemons(self) -> bool:
        """Whether sparkscale starts processes for it that outlive a worker."""
        return False

    @property
    def shape(self) -> str:
        """How large it is, in words."""
        return _size(self.cores, self.memory)

    @property
    def storage_location(self) -> str:
        """The location that `storage` names, absolute."""
        path = local_path(self.storage or str(cache_folder()))
        return self.storage if path is None else str(path.absolute())

    def secret_values(self) -> dict[str, str]:
        """The settings whose values stand in environment variables. Raises ConfigError for one that is not set."""
        found = {}
        for key, variable in getattr(self, "secrets", ()):
            if not os.environ.get(variable):
                raise ConfigError(
                    f"Cluster '{self.name}' reads {key} from the environment variable {variable}: set it."
                )
            found[key] = os.environ[variable]
        redaction.remember(found.values())
        return found


class Local(Profile):
    """Spark in local mode: one JVM on this machine, no cluster."""

    kind: Literal["local"]
    gpus: int | Literal["all"] = "all"
    """Of this host, how many GPUs single-node engines and Spark's one process may use."""
    tasks_per_gpu: int = Field(default=1, ge=1)
    """How many tasks, or processes of one engine, share a GPU."""


class Standalone(Profile):
    """Spark's own Master and Workers, started on this machine. `cores`, `memory` and `gpus` are each worker's."""

    kind: Literal["standalone"]
    workers: int = Field(default=1, ge=1)
    cores: int = Field(default=1, ge=1)
    memory: str = "20%"
    driver_memory: str = "10%"
    gpus: int = Field(default=0, ge=0)
    tasks_per_gpu: int = Field(default=1, ge=1)
    encrypt: bool = False
    """Encrypts what goes over the network and what is spilled to disk."""
    ui: bool = False
    """Whether applications have a web page."""
    patience_seconds: float = Field(default=60, ge=1, le=3600)
    """How long a session waits for its executors."""
    oversubscribe: bool = False
    """More executor cores than this host has; records are marked."""
    python: str = ""
    """The executors' Python; empty: the one that runs sparkscale."""

    @property
    def starts_daemons(self) -> bool:
        return True

    @property
    def shape(self) -> str:
        return f"{self.workers} × ({_size(self.cores, self.memory, self.gpus)})"


class Connect(Profile):
    """A Spark Connect server: started on this machine in front of local mode, or, with `url`, an existing one."""

    capabilities: ClassVar[frozenset[str]] = frozenset()

    kind: Literal["connect"]
    url: str = ""
    """sc://HOST:PORT of a server that is there already; then `cores` is how many its executors have."""
    memory: str = "60%"
    driver_memory: str = "10%"
    """Of the client, which is a Python process."""
    secrets: Pairs = ()
    """Environment variables that hold secrets, by name; `token` is the server's."""

    @model_validator(mode="after")
    def _existing_server_is_described(self) -> "Connect":
        if self.url and not re.fullmatch(r"sc://[^/;\s]+(/.*)?", self.url):
            raise ValueError(f"url: '{self.url}' is no address like sc://host:15002")
        if self.url and self.cores == "all":
            raise ValueError("cores: say how many cores the executors behind `url` have together")
        return self

    @property
    def starts_daemons(self) -> bool:
        return not self.url


class External(Profile):
    """An existing cluster. `cores` and `memory` are each executor's; sparkscale starts and stops no daemon of it."""

    kind: Literal["external"]
    master: str = Field(pattern=r"^(spark://.+|yarn|k8s://.+)$")
    executors: int = Field(ge=1)
    cores: int = Field(ge=1)
    memory: str = Field(pattern=r"^\d+[mg]$")
    """An amount such as '8g'; `heap_share` of it is the executor's heap, the rest its overhead."""
    driver_memory: str = "25%"
    node_memory: str = "75%"
    """What a single-node engine may use on the host that sparkscale runs on."""
    patience_seconds: float = Field(default=120, ge=1, le=3600)
    """How long a session waits for its executors: an autoscaler may take minutes."""
    gpus: int = Field(default=0, ge=0)
    tasks_per_gpu: int = Field(default=1, ge=1)
    python: str = ""
    """The executors' Python, as they call it; empty: python3."""
    secrets: Pairs = ()
    """Spark settings whose values stand in environment variables: "spark.authenticate.secret" = "MY_SECRET"."""

    @property
    def memory_bytes(self) -> int:
        return int(self.memory[:-1]) * UNITS[self.memory[-1]]

    @property
    def shape(self) -> str:
        return f"{self.executors} × ({_size(self.cores, self.memory, self.gpus)})"


ClusterProfile = Local | Standalone | Connect | External
PROFILE: TypeAdapter[ClusterProfile] = TypeAdapter(Annotated[ClusterProfile, Field(discriminator="kind")])
KINDS: Mapping[str, type[ClusterProfile]] = {
    "local": Local,
    "standalone": Standalone,
    "connect": Connect,
    "external": External,
}


def _size(cores: int | str, memory: str, gpus: int = 0) -> str:
    parts = [count(cores, "core"), memory]
    return ", ".join([*parts, *([count(gpus, "GPU")] if gpus else [])])


def cache_folder() -> Path:
    """Where sparkscale keeps what can be made again: $XDG_CACHE_HOME/sparkscale."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkscale"


def names() -> list[str]:
    """The profiles that sparkscale brings, and those of other packages."""
    return sorted(_files())


def _files() -> dict[str, Traversable]:
    """The files of the profiles by name; what sparkscale brings comes before what other packages add."""
    folders = [resources.files(package) for package in plugins.loaded("sparkscale.clusters").values()]
    found: dict[str, Traversable] = {}
    for folder in (*folders, resources.files("cluster") / "profiles"):
        found |= {e.name.removesuffix(".toml"): e for e in folder.iterdir() if e.name.endswith(".toml")}
    return found


def name_of(name_or_path: str) -> str:
    """What a profile is called: its file's name without the ending. Raises ConfigError for what is no name."""
    is_file = name_or_path.endswith(".toml")
    return checked("cluster", Path(name_or_path).name.removesuffix(".toml") if is_file else name_or_path)


def load(name_or_path: str) -> ClusterProfile:
    """A profile by name, else by path. Raises ConfigError, naming the file and the field."""
    source: Traversable = Path(name_or_path)
    if name_or_path in names():
        source = _files()[name_or_path]
    elif not source.is_file():
        raise ConfigError(
            f"Unknown cluster '{name_or_path}': choose from {', '.join(names())}, or give a TOML file's path."
        )
    name = name_of(source.name)
    try:
        content: dict[str, Any] = tomllib.loads(source.read_text())
        found = PROFILE.validate_python({**content, "name": name})
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no valid TOML: {error}.") from error
    except ValidationError as error:
        raise ConfigError(f"{source}: {_fault(error)}.") from error
    redaction.remember_settings(dict(found.conf))
    return found


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in KINDS)
    if first["type"] == "union_tag_not_found":
        return f"kind: say which: {', '.join(KINDS)}"
    if first["type"] == "union_tag_invalid":
        return f"kind: '{first['ctx']['tag']}' is none of {', '.join(repr(kind) for kind in KINDS)}"
    return f"{where}: {plain(first['msg'])}" if where else plain(first["msg"])
