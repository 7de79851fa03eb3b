"""A cluster profile: a named description of where cases run. `budget.py` computes its budget on this host."""

import os
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from cluster.price import Price
from sparkscale.contract import plugins, redaction
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.file_names import checked
from sparkscale.contract.location import local_path
from sparkscale.contract.phrases import count

Pairs = tuple[tuple[str, str], ...]

UNITS = {"m": 2**20, "g": 2**30}
"""The number of bytes that each unit letter of an amount of memory stands for."""

SPARK_CONTEXT = frozenset({"spark_context"})

EMULATED = "emulated"
"""The names of profiles of emulated hosts begin with this word, and no other names do.

Records, tables and histories name the cluster, so emulated hosts are never taken for real ones.
"""
MOST_HOSTS = 32
"""The most emulated hosts of a cluster."""


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


class SparkDaemons(Profile):
    """The fields of clusters with Spark's own Master and Workers, started on this machine.

    `cores`, `memory` and `gpus` are per Spark worker.
    """

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


class Standalone(SparkDaemons):
    """Spark's own Master and Workers on this machine: several executors on one host."""

    kind: Literal["standalone"]
    workers: int = Field(default=1, ge=1)

    @property
    def shape(self) -> str:
        return f"{self.workers} × ({_size(self.cores, self.memory, self.gpus)})"


class Emulated(SparkDaemons):
    """Emulated hosts on this machine: one Spark worker each, joined by links of a limited rate.

    `cores`, `memory` and `gpus` are per emulated host.
    """

    kind: Literal["emulated"]
    hosts: int = Field(default=2, ge=2, le=MOST_HOSTS)
    rate: str = "1gbit"
    """The rate of each host's link, in each direction."""
    delay: str = ""
    """The time that a packet takes from one host to another. Empty: no delay is added."""

    @field_validator("rate")
    @classmethod
    def _rate_is_readable(cls, value: str) -> str:
        if not re.fullmatch(r"\d+(\.\d+)?[mg]bit", value) or not 1e6 <= bits_per_second(value) <= 1e11:
            raise ValueError(f"'{value}' is no rate between 1mbit and 100gbit: write it like 1gbit or 100mbit")
        return value

    @field_validator("delay")
    @classmethod
    def _delay_is_readable(cls, value: str) -> str:
        if value and not (re.fullmatch(r"\d+(\.\d+)?(us|ms)", value) and 0 < seconds_of(value) <= 1):
            raise ValueError(f"'{value}' is no delay of at most 1000ms: write it like 1ms or 200us")
        return value

    @field_validator("storage")
    @classmethod
    def _storage_is_a_folder(cls, value: str) -> str:
        if value and local_path(value) is None:
            raise ValueError(f"emulated hosts reach no other machine, so '{value}' cannot be read: name a folder")
        return value

    @property
    def workers(self) -> int:
        """The number of Spark workers: one on each emulated host."""
        return self.hosts

    @property
    def shape(self) -> str:
        link = " ".join(filter(None, [self.rate, self.delay]))
        return f"{self.hosts} × ({_size(self.cores, self.memory, self.gpus)}), links of {link}"


def bits_per_second(rate: str) -> float:
    """Returns a rate such as "100mbit" in bits per second."""
    return float(rate[:-4]) * {"m": 1e6, "g": 1e9}[rate[-4]]


def seconds_of(delay: str) -> float:
    """Returns a delay such as "1ms" in seconds; 0 if it is empty."""
    return float(delay[:-2]) * {"u": 1e-6, "m": 1e-3}[delay[-2]] if delay else 0.0


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


ClusterProfile = Local | Standalone | Emulated | Connect | External
PROFILE: TypeAdapter[ClusterProfile] = TypeAdapter(Annotated[ClusterProfile, Field(discriminator="kind")])
KINDS: Mapping[str, type[ClusterProfile]] = {
    "local": Local,
    "standalone": Standalone,
    "emulated": Emulated,
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
    check_name(profile.name, profile.kind)
    redaction.remember_settings(dict(profile.conf))
    return profile


def check_name(name: str, kind: str) -> None:
    """Raises ConfigError if only one of a profile's name and kind says that its hosts are emulated."""
    if name.startswith(EMULATED) and kind != EMULATED:
        raise ConfigError(f"Cluster '{name}' is of kind '{kind}', but its name says emulated: choose another name.")
    if kind == EMULATED and not name.startswith(EMULATED):
        raise ConfigError(
            f"Cluster '{name}' has emulated hosts, so its name must begin with '{EMULATED}': call it "
            f"{EMULATED}-{name}."
        )


def _fault(error: ValidationError) -> str:
    """Returns a text with the first problem of a profile, and the field that has it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in KINDS)
    if first["type"] == "union_tag_not_found":
        return f"kind: is missing, set one of {', '.join(KINDS)}"
    if first["type"] == "union_tag_invalid":
        return f"kind: '{first['ctx']['tag']}' is none of {', '.join(repr(kind) for kind in KINDS)}"
    return f"{where}: {plain(first['msg'])}" if where else plain(first["msg"])
