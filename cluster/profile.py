"""A cluster profile: a named description of where cases run. `budget.py` computes its budget on this host."""

import datetime
import os
import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from sparkscale.contract import plugins, redaction
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.file_names import checked
from sparkscale.contract.location import local_path
from sparkscale.contract.phrases import count

Pairs = tuple[tuple[str, str], ...]

UNITS = {"m": 2**20, "g": 2**30}
"""The number of bytes that each unit letter of an amount of memory stands for."""

SPARK_CONTEXT = frozenset({"spark_context"})


class Price(BaseModel):
    """The cost of one hour on all machines of a profile together. `date` is the day on which the price was valid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    per_hour: float = Field(gt=0, allow_inf_nan=False, strict=True)
    currency: str
    """The code of the currency in ISO 4217, such as "EUR"."""
    source: str
    """The origin of the price, such as a URL or "our contract"."""
    date: datetime.date

    @field_validator("currency")
    @classmethod
    def _currency_is_a_code(cls, value: str) -> str:
        if not re.fullmatch("[A-Z]{3}", value):
            raise ValueError(f"'{value}' is no currency of ISO 4217: write three capital letters like 'EUR'")
        return value

    @field_validator("source")
    @classmethod
    def _source_is_stated(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("say where the price comes from, such as a URL or 'our contract'")
        return value

    @field_validator("date", mode="before")
    @classmethod
    def _date_is_a_day(cls, value: Any) -> Any:
        with suppress(ValueError):
            if type(value) is datetime.date or (isinstance(value, str) and datetime.date.fromisoformat(value)):
                return value
        raise ValueError("write the day of the price like 2026-11-28")

    @property
    def text(self) -> str:
        """The price as text, such as "3.2 EUR per hour (our contract, 2026-11-28)"."""
        return f"{self.per_hour:,g} {self.currency} per hour ({redaction.text(self.source)}, {self.date})"


class Profile(BaseModel):
    """The fields that profiles of every kind have, as read from `profiles/NAME.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    capabilities: ClassVar[frozenset[str]] = SPARK_CONTEXT
    """The capabilities of a Spark session on this kind of cluster. Some engines need one of them."""

    name: str
    summary: str = ""
    cores: int | Literal["all"] = "all"
    memory: str = "75%"
    heap_share: float = Field(default=0.6, gt=0, le=1)
    """The share of the memory that a JVM's heap may take. The rest is for Python workers and the JVM's own needs."""
    storage: str = ""
    """The location of prepared data: a folder or a URI such as s3://bucket/folder. If empty, the user's cache folder
    is used."""
    conf: Pairs = ()
    """More Spark settings. The TOML file has them as a table [conf]."""
    price: Price | None = None
    """The cost of an hour. It changes no measured value, so profiles that differ only in their price are the same."""

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
        """True if sparkscale starts processes for this cluster that go on after a worker has ended."""
        return False

    @property
    def without_price(self) -> Self:
        """The profile without its price, to compare it with another."""
        return self.model_copy(update={"price": None})

    @property
    def shape(self) -> str:
        """Returns the size of the cluster as text, such as "2 × (1 core, 20%)"."""
        return _size(self.cores, self.memory)

    @property
    def storage_location(self) -> str:
        """Returns the location of prepared data (see `storage`). A path is made absolute."""
        path = local_path(self.storage or str(cache_folder()))
        return self.storage if path is None else str(path.absolute())

    def secret_values(self) -> dict[str, str]:
        """Returns the values that `secrets` reads from environment variables, by name of the Spark setting.

        Raises ConfigError if one of the variables is not set.
        """
        values = {}
        for key, variable in getattr(self, "secrets", ()):
            if not os.environ.get(variable):
                raise ConfigError(
                    f"Cluster '{self.name}' reads {key} from the environment variable {variable}: set it."
                )
            values[key] = os.environ[variable]
        redaction.remember(values.values())
        return values


class Local(Profile):
    """Spark in local mode: one JVM on this machine, no cluster."""

    kind: Literal["local"]
    gpus: int | Literal["all"] = "all"
    """The number of this host's GPUs that single-node engines and Spark's one process may use."""
    tasks_per_gpu: int = Field(default=1, ge=1)
    """The number of Spark tasks, or processes of one engine, that share a GPU."""


class Standalone(Profile):
    """Spark's own Master and Workers, started on this machine. `cores`, `memory` and `gpus` are per Spark worker."""

    kind: Literal["standalone"]
    workers: int = Field(default=1, ge=1)
    cores: int = Field(default=1, ge=1)
    memory: str = "20%"
    driver_memory: str = "10%"
    gpus: int = Field(default=0, ge=0)
    tasks_per_gpu: int = Field(default=1, ge=1)
    encrypt: bool = False
    """If true, Spark encrypts its network traffic and the data that it spills to disk."""
    ui: bool = False
    """If true, each Spark application has a web page."""
    patience_seconds: float = Field(default=60, ge=1, le=3600)
    """The number of seconds that a Spark session waits for its executors."""
    oversubscribe: bool = False
    """If true, the executors together may have more cores than this host. Records then say so."""
    python: str = ""
    """The executors' Python. If empty, it is the Python that runs sparkscale."""

    @property
    def starts_daemons(self) -> bool:
        return True

    @property
    def shape(self) -> str:
        return f"{self.workers} × ({_size(self.cores, self.memory, self.gpus)})"


class Connect(Profile):
    """A Spark Connect server.

    With `url`, it is an existing server. Without `url`, sparkscale starts one in front of local mode.
    """

    capabilities: ClassVar[frozenset[str]] = frozenset()

    kind: Literal["connect"]
    url: str = ""
    """sc://HOST:PORT of an existing server. Then `cores` is the number of cores that its executors have together."""
    memory: str = "60%"
    driver_memory: str = "10%"
    """The memory of the client, which is a Python process."""
    secrets: Pairs = ()
    """Maps names of secrets to environment variables. The variable for `token` holds the server's token."""

    @model_validator(mode="after")
    def _existing_server_is_described(self) -> "Connect":
        if self.url and not re.fullmatch(r"sc://[^/;\s]+(/.*)?", self.url):
            raise ValueError(f"url: '{self.url}' is no address like sc://host:15002")
        if self.url and self.cores == "all":
            raise ValueError("cores: set the number of cores that the executors behind `url` have together")
        return self

    @property
    def starts_daemons(self) -> bool:
        return not self.url


class External(Profile):
    """An existing cluster. `cores` and `memory` are per executor. sparkscale starts and stops none of its daemons."""

    kind: Literal["external"]
    master: str = Field(pattern=r"^(spark://.+|yarn|k8s://.+)$")
    executors: int = Field(ge=1)
    cores: int = Field(ge=1)
    memory: str = Field(pattern=r"^\d+[mg]$")
    """An amount such as '8g'. The share `heap_share` of it is the executor's heap, and the rest is its overhead."""
    driver_memory: str = "25%"
    node_memory: str = "75%"
    """The memory that a single-node engine may use on the host where sparkscale runs."""
    patience_seconds: float = Field(default=120, ge=1, le=3600)
    """The number of seconds that a Spark session waits for its executors. An autoscaler may need minutes."""
    gpus: int = Field(default=0, ge=0)
    tasks_per_gpu: int = Field(default=1, ge=1)
    python: str = ""
    """The executors' Python, as a path or a command on their hosts. If empty, it is python3."""
    secrets: Pairs = ()
    """Maps Spark settings to the environment variables that hold their values, such as "spark.authenticate.secret" =
    "MY_SECRET"."""

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
    """Returns the folder for files that can be made again: $XDG_CACHE_HOME/sparkscale."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkscale"


def names() -> list[str]:
    """Returns the names of the profiles that sparkscale and other packages provide."""
    return sorted(_files())


def _files() -> dict[str, Traversable]:
    """Returns the files of the profiles by name.

    If another package has a profile with the same name, sparkscale's own profile is used.
    """
    folders = [resources.files(package) for package in plugins.loaded("sparkscale.clusters").values()]
    files: dict[str, Traversable] = {}
    for folder in (*folders, resources.files("cluster") / "profiles"):
        files |= {
            entry.name.removesuffix(".toml"): entry for entry in folder.iterdir() if entry.name.endswith(".toml")
        }
    return files


def name_of(name_or_path: str) -> str:
    """Returns the name of a profile: its file's name without the ending.

    Raises ConfigError if the name is not valid.
    """
    is_file = name_or_path.endswith(".toml")
    return checked("cluster", Path(name_or_path).name.removesuffix(".toml") if is_file else name_or_path)


def load(name_or_path: str) -> ClusterProfile:
    """Reads a profile by its name, or by the path of its file.

    If the file cannot be read, or a field is wrong, raises ConfigError that names the file and the field.
    """
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
        profile = PROFILE.validate_python({**content, "name": name})
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no valid TOML: {error}.") from error
    except ValidationError as error:
        raise ConfigError(f"{source}: {_fault(error)}.") from error
    redaction.remember_settings(dict(profile.conf))
    return profile


def _fault(error: ValidationError) -> str:
    """Returns a text with the first problem of a profile, and the field that has it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in KINDS)
    if first["type"] == "union_tag_not_found":
        return f"kind: is missing, set one of {', '.join(KINDS)}"
    if first["type"] == "union_tag_invalid":
        return f"kind: '{first['ctx']['tag']}' is none of {', '.join(repr(kind) for kind in KINDS)}"
    return f"{where}: {plain(first['msg'])}" if where else plain(first["msg"])
