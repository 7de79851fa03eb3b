"""The saved state of a running cluster.

A later command uses it to find the cluster again. Each profile has one file.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, Field

from cluster import processes
from cluster.daemon import Daemon
from cluster.network import Link, Network
from cluster.profile import ClusterProfile, cache_folder, load, name_of, names
from sparkscale.contract import redaction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.file_names import checked


class ClusterState(BaseModel):
    """A cluster on this machine. If `kept` and `ready` are true, it outlives the command that started it.

    `owner` is the id of the process that started the cluster. `owner_created` is the start time of that process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: ClusterProfile = Field(discriminator="kind")
    owner: int
    owner_created: float
    kept: bool
    ready: bool = False
    secret: str = Field(repr=False)
    address: str = ""
    """The address, such as spark://HOST:PORT or sc://HOST:PORT. Empty until it is known."""
    web: str = ""
    """The web page of the master, which lists its workers. Empty for a Connect server."""
    folder: Path
    """The folder with settings, work directories and the event log."""
    logs: Path
    daemons: tuple[Daemon, ...] = ()
    network: Network | None = None
    """The network of emulated hosts. Null for other clusters."""
    link: Link | None = None
    """The link of each emulated host, with its measured rates. Null until they are measured."""

    def model_post_init(self, _: Any) -> None:
        """Registers the cluster's secret for redaction, because the daemons' logs may contain it."""
        redaction.remember([self.secret])

    @property
    def stale(self) -> bool:
        """True if the owner process has ended, and the cluster was not meant to outlive it."""
        return not (self.kept and self.ready) and not processes.lives(self.owner, self.owner_created)

    @property
    def up(self) -> bool:
        """True if the cluster is ready and at least one daemon still runs."""
        return self.ready and any(daemon.alive for daemon in self.daemons)

    @property
    def whole(self) -> bool:
        """True if the cluster is ready and every daemon runs."""
        return self.ready and all(daemon.alive for daemon in self.daemons)

    def save(self) -> "ClusterState":
        """Writes the state to its file and returns it.

        Only the user can read the file, because it contains the secret.
        """
        path = state_path(self.profile.name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}")
        aside.touch(mode=0o600)
        aside.write_text(self.model_dump_json())
        aside.replace(path)
        return self

    def forget(self) -> None:
        """Removes the file with the state."""
        state_path(self.profile.name).unlink(missing_ok=True)


def this_process() -> tuple[int, float]:
    """Returns the id and the start time of the calling process, which owns the clusters that it starts."""
    return os.getpid(), psutil.Process().create_time()


def state_folder() -> Path:
    """Returns the folder with the states of all clusters of this user."""
    return cache_folder() / "clusters"


def state_path(name: str) -> Path:
    """Returns the file of a cluster's state. Raises ConfigError if the name is not valid."""
    return state_folder() / f"{checked('cluster', name)}.json"


def find(name: str) -> ClusterState | None:
    """Returns the saved cluster with this profile name, even if its daemons have ended; None if no file is saved.

    Raises ConfigError if the file cannot be read, because daemons that nobody knows would disturb every measurement.
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
    """Yields all saved clusters, in the order of their names."""
    for path in sorted(state_folder().glob("*.json")):
        saved = find(path.stem)
        if saved:
            yield saved


def profiles(requested: Iterable[str]) -> list[ClusterProfile]:
    """Returns the profiles for names, paths, or addresses of running clusters on this machine, each once.

    The name of a cluster that is up is enough, even if no file describes it. Raises ConfigError if no cluster of
    sparkscale runs at an address, if two different profiles have the same name, or if `profile.load` raises it.
    """
    chosen: dict[str, ClusterProfile] = {}
    for profile in map(_profile, requested):
        if chosen.setdefault(profile.name, profile) != profile:
            raise ConfigError(f"Two different clusters are called '{profile.name}': rename one of the files.")
    return list(chosen.values())


def _profile(name: str) -> ClusterProfile:
    if "://" not in name:
        running = None if name in names() or name.endswith(".toml") else find(name_of(name))
        return running.profile if running and running.up else load(name)
    up = {saved.address: saved.profile for saved in every() if saved.up}
    if name.rstrip("/") not in up:
        kind = "connect" if name.startswith("sc:") else "external"
        raise ConfigError(
            f"No cluster of this machine is up at {name}: describe another cluster by a TOML file with "
            f'kind = "{kind}", which gives its number of cores.'
        )
    return up[name.rstrip("/")]
