"""What is written down of a cluster while it is up, so that a later command finds it: one file per profile name."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field

from cluster import processes
from cluster.daemon import Daemon
from cluster.profile import ClusterProfile, cache_folder, load
from sparkscale.contract import redaction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.file_names import checked


class ClusterState(BaseModel):
    """A cluster on this machine. `kept` ones outlive the command that started them, once they are `ready`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ClusterProfile = Field(discriminator="kind")
    owner: int
    owner_created: float
    kept: bool
    ready: bool = False
    secret: str = Field(repr=False)
    address: str = ""
    """spark://HOST:PORT or sc://HOST:PORT, once it is known."""
    web: str = ""
    """The master's page, from which the list of workers is read."""
    folder: Path
    """Settings, work directories, event log."""
    logs: Path
    daemons: tuple[Daemon, ...] = ()

    def model_post_init(self, _: Any) -> None:
        """Whoever knows a cluster knows its secret, which the daemons' logs may hold."""
        redaction.remember([self.secret])

    @property
    def stale(self) -> bool:
        """Whether nobody owns it any more: its owner ended without ending it."""
        return not (self.kept and self.ready) and not processes.lives(self.owner, self.owner_created)

    @property
    def up(self) -> bool:
        return self.ready and any(daemon.alive for daemon in self.daemons)

    @property
    def whole(self) -> bool:
        """Whether it is in service with every daemon."""
        return self.ready and all(daemon.alive for daemon in self.daemons)

    def save(self) -> "ClusterState":
        """For its owner's eyes only: it holds the secret."""
        path = state_path(self.profile.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(self.model_dump_json())
        aside.replace(path)
        return self

    def forget(self) -> None:
        state_path(self.profile.name).unlink(missing_ok=True)


def this_process() -> tuple[int, float]:
    """Id and beginning of the calling process: the owner of what it starts."""
    return os.getpid(), psutil.Process().create_time()


def state_folder() -> Path:
    return cache_folder() / "clusters"


def state_path(name: str) -> Path:
    """Raises ConfigError for what cannot be a name."""
    return state_folder() / f"{checked('cluster', name)}.json"


def find(name: str) -> ClusterState | None:
    """The cluster of a profile's name, whatever became of it.

    Raises ConfigError for a file that cannot be read: daemons that nobody sees would take part in every measurement.
    """
    path = state_path(name)
    try:
        return ClusterState.model_validate_json(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} describes a cluster in a way that this release of sparkscale does not read: end the processes "
            "whose pid it names, then remove it."
        ) from error


def every() -> Iterator[ClusterState]:
    """All that are written down, by name."""
    for path in sorted(state_folder().glob("*.json")):
        found = find(path.stem)
        if found:
            yield found


def profiles(names: Iterable[str]) -> list[ClusterProfile]:
    """Profiles by name, by path, or by the address of a cluster that is up on this machine; each once.

    Raises ConfigError as `profile.load` does, for an address at which no cluster of ours is, and when two different
    profiles have one name.
    """
    chosen: dict[str, ClusterProfile] = {}
    for one in map(_profile, names):
        if chosen.setdefault(one.name, one) != one:
            raise ConfigError(f"Two different clusters are called '{one.name}': rename one of the files.")
    return list(chosen.values())


def _profile(name: str) -> ClusterProfile:
    if "://" not in name:
        return load(name)
    up = {found.address: found.profile for found in every() if found.up}
    if name.rstrip("/") not in up:
        kind = "connect" if name.startswith("sc:") else "external"
        raise ConfigError(
            f'No cluster of this machine is up at {name}: name another by a TOML file of kind = "{kind}", which says '
            "how many cores it has."
        )
    return up[name.rstrip("/")]
