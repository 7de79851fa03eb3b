"""A cluster profile: a named description of where cases run and what each of them is granted."""

import os
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cluster import processes
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.location import local_path

CAPABILITIES: dict[str, frozenset[str]] = {"local": frozenset({"spark_context"})}
"""What a session of each kind of cluster offers to the engines that need it."""

MEMORY_UNITS = {"m": 2**20, "g": 2**30}


class ClusterProfile(BaseModel):
    """As read from `profiles/NAME.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["local"]
    summary: str = ""
    cores: int | Literal["all"] = "all"
    memory: str = "75%"
    heap_share: float = Field(default=0.6, gt=0, le=1)
    """Of the memory, what the JVM's heap may take; the rest is for Python workers and the JVM's own needs."""
    storage: str = ""
    """Where prepared data lies, a folder or a URI such as s3://bucket/folder; empty: the user's cache folder."""
    conf: tuple[tuple[str, str], ...] = ()
    """Further Spark settings, written as a table [conf]."""

    @field_validator("conf", mode="before")
    @classmethod
    def _conf_is_a_table(cls, value: Any) -> Any:
        return tuple(sorted(value.items())) if isinstance(value, dict) else value

    @field_validator("memory")
    @classmethod
    def _memory_is_readable(cls, value: str) -> str:
        if not re.fullmatch(r"\d+[mg]|\d+%", value):
            raise ValueError("write a share of the host like '75%', or an amount like '8g' or '512m'")
        return value

    @property
    def capabilities(self) -> frozenset[str]:
        return CAPABILITIES[self.kind]

    @property
    def storage_location(self) -> str:
        """The location that `storage` names, absolute."""
        path = local_path(self.storage or str(cache_folder()))
        return self.storage if path is None else str(path.absolute())


@dataclass(frozen=True)
class Budget:
    """What every case on a profile may use: CPU numbers and bytes."""

    cpus: tuple[int, ...]
    memory_bytes: int
    heap_bytes: int

    @property
    def cores(self) -> int:
        return len(self.cpus)


def cache_folder() -> Path:
    """Where sparkscale keeps what can be made again: $XDG_CACHE_HOME/sparkscale."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkscale"


def names() -> list[str]:
    """The profiles that sparkscale brings."""
    folder = resources.files("cluster") / "profiles"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str) -> ClusterProfile:
    """A profile by name, else by path. Raises ConfigError, naming the file and the field."""
    source: Traversable = Path(name_or_path)
    if name_or_path in names():
        source = resources.files("cluster") / "profiles" / f"{name_or_path}.toml"
    elif not source.is_file():
        raise ConfigError(
            f"Unknown cluster '{name_or_path}': choose from {', '.join(names())}, or give a TOML file's path."
        )
    try:
        content: dict[str, Any] = tomllib.loads(source.read_text())
        return ClusterProfile.model_validate({**content, "name": source.name.removesuffix(".toml")})
    except OSError as error:
        raise ConfigError(f"{source} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source} is no valid TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{source}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error


def budget(profile: ClusterProfile) -> Budget:
    """What the profile grants on this host. Raises ConfigError when the host has less."""
    available = processes.granted_cpus()
    cores = len(available) if profile.cores == "all" else profile.cores
    if cores > len(available):
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {cores} cores, of which {len(available)} are usable: lower `cores`."
        )
    total = processes.granted_memory_bytes()
    amount, unit = int(profile.memory[:-1]), profile.memory[-1]
    memory = total * amount // 100 if unit == "%" else amount * MEMORY_UNITS[unit]
    if memory > total:
        raise ConfigError(
            f"Cluster '{profile.name}' asks for {profile.memory} of memory, and this process may use "
            f"{total / 2**30:.1f} GiB: lower `memory`."
        )
    return Budget(available[:cores], memory, int(memory * profile.heap_share))
