"""Brings clusters up on this machine, finds running ones, restores and ends them. Never imports pyspark."""

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import connect, java, standalone, state
from cluster.budget import Budget
from cluster.daemon import Daemon, end_children
from cluster.endpoint import Endpoint, existing
from cluster.profile import ClusterProfile, Connect, Standalone
from cluster.settings import JAVA_TEMPORARY, session_settings
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError, ConfigError

WATCH_SECONDS = 1.0


@dataclass
class Cluster:
    """What sessions of a profile connect to. `state` is None where no daemon of ours stands behind it."""

    profile: ClusterProfile
    budget: Budget
    jdk: java.Java
    state: ClusterState | None = None
    _watch_again: float = 0.0
    _kills_before: int = 0
    """Those of `out_of_memory` in the trees of daemons that have been ended since."""

    @property
    def endpoint(self) -> Endpoint:
        """Raises ClusterError when nobody answers at an existing cluster's address."""
        if self.state is None:
            return existing(self.profile)
        sessions = tuple(daemon.pid for daemon in self.state.daemons)
        serves_anyone = isinstance(self.profile, Connect) and self.state.kept
        return Endpoint(
            address=self.state.address,
            secret=self.state.secret,
            daemons=sessions,
            whole=sessions if self.is_renewable else (),
            observable=not serves_anyone,
            executors=sessions[1:] if isinstance(self.profile, Standalone) else (),
            events=self.state.folder / "events" if isinstance(self.profile, Connect) else None,
        )

    @property
    def is_renewable(self) -> bool:
        """Whether a worker has a JVM of its own only after `renew`: a Connect server of a run's."""
        return isinstance(self.profile, Connect) and self.state is not None and not self.state.kept

    def renew(self) -> None:
        """Ends the daemons, and starts them again."""
        self._end_daemons(self._state.daemons)
        self._note(daemons=(), ready=False)
        self._start()

    def lost(self) -> list[Daemon]:
        """The daemons that have ended."""
        return [daemon for daemon in self.state.daemons if not daemon.alive] if self.state else []

    def watch(self) -> list[str]:
        """To be called while a case runs. A worker that has ended is replaced, so that Spark can go on with the case;
        returns what was. Without its master an application goes on; without its Connect server it cannot.

        Raises ClusterError when the case has no chance.
        """
        if time.monotonic() < self._watch_again:
            return []
        self._watch_again = time.monotonic() + WATCH_SECONDS
        lost = self.lost()
        if not lost or self.state is None:
            return []
        if isinstance(self.profile, Connect):
            raise ClusterError(f"Spark's {lost[0].name} ended. {lost[0].last_words()}")
        return [] if self.state.daemons[0] in lost else self.restore()

    def out_of_memory(self) -> int:
        """How often the kernel has ended a process of a daemon's tree for passing its memory limit."""
        now = sum(daemon.out_of_memory() for daemon in self.state.daemons) if self.state else 0
        return self._kills_before + now

    def restore(self) -> list[str]:
        """Starts again what has ended; returns what that was. Sessions that were open do not survive it."""
        lost = self.lost()
        if not lost or self.state is None:
            return []
        names = [daemon.name for daemon in lost]
        self._end_daemons(lost)
        left = tuple(daemon for daemon in self.state.daemons if daemon not in lost)
        if self.state.daemons[0] in lost:  # without its master, or server, nothing that is left is of use
            self._end_daemons(left)
            left = ()
        self.state = self.state.model_copy(update={"daemons": left, "ready": False}).save()
        self._start()
        return names

    def _end_daemons(self, daemons: Iterable[Daemon]) -> None:
        for daemon in daemons:
            self._kills_before += daemon.out_of_memory()
            daemon.end()

    def end(self) -> None:
        """Ends every daemon and forgets the cluster."""
        if self.state is not None:
            _end(self.state)
            self.state = None

    def _start(self) -> None:
        """Every daemon that is not there; the cluster is written down after each. Ready means: all are in service."""
        if isinstance(self.profile, Standalone):
            self._start_standalone(self.profile)
        else:
            self._start_server()
        self._note(ready=True)

    def _start_standalone(self, profile: Standalone) -> None:
        there = {daemon.name: daemon for daemon in self._state.daemons}
        common = self._state.secret, self.jdk
        if "master" not in there:
            folder = self._state.folder / f"master-{secrets.token_hex(4)}"
            master = standalone.start_master(
                profile, *common, self.budget.driver, folder, self._state.logs, self._state.kept
            )
            self._note(daemons=(master,))
            address, web = standalone.addresses(master)
            self._note(address=address, web=web)
            there = {"master": master}
        for number, grant in enumerate(self.budget.daemons, start=1):
            name = f"worker-{number}"
            if name not in there:
                there[name] = standalone.start_worker(
                    profile,
                    number,
                    grant,
                    self._state.address,
                    *common,
                    self._state.folder,
                    self._state.logs,
                    self._state.kept,
                )
                ordered = ("master", *(f"worker-{one + 1}" for one in range(len(self.budget.daemons))))
                self._note(daemons=tuple(there[found] for found in ordered if found in there))
        standalone.await_workers(self._state.web, len(self.budget.daemons), self._state.daemons)

    def _start_server(self) -> None:
        local = Endpoint(address="local")
        folder = self._state.folder
        shutil.rmtree(folder / "events", ignore_errors=True)
        (folder / "events").mkdir()
        (folder / JAVA_TEMPORARY).mkdir(exist_ok=True)
        conf = session_settings(self.profile, self.budget, local, threads=1, device="cpu", scratch=folder)
        server = connect.start_server(
            {**conf, "spark.master": f"local[{self.budget.cores}]", "spark.app.name": "sparkscale"},
            self._state.secret,
            self.jdk,
            self.budget.daemons[0],
            folder,
            self._state.logs,
            self._state.kept,
        )
        self._note(daemons=(server,))
        self._note(address=connect.address(server))

    @property
    def _state(self) -> ClusterState:
        assert self.state is not None
        return self.state

    def _note(self, **changes: object) -> None:
        self.state = self._state.model_copy(update=changes).save()


def bring_up(
    profile: ClusterProfile, budget: Budget, jdk: java.Java, folder: Path, logs: Path, kept: bool
) -> Cluster:
    """Starts a profile's daemons; `kept` ones outlive this process. What they write goes below `folder`.

    To be called under the machine's lock. Raises ClusterError, with the daemon's last words, when they do not start;
    then none is left.
    """
    if not profile.starts_daemons:
        return Cluster(profile, budget, jdk)
    for place in (folder, logs):
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner, created = state.this_process()
    cluster = Cluster(
        profile,
        budget,
        jdk,
        ClusterState(
            profile=profile,
            owner=owner,
            owner_created=created,
            kept=kept,
            secret=secrets.token_hex(32),
            folder=folder,
            logs=logs,
        ).save(),
    )
    try:
        cluster._start()
    except BaseException:
        cluster.end()
        end_children(known=[daemon.pid for other in state.every() for daemon in other.daemons])
        raise
    return cluster


def running(profile: ClusterProfile, budget: Budget, jdk: java.Java) -> Cluster | None:
    """The cluster of this profile that `sparkscale cluster up` keeps, if there is one.

    Raises ConfigError when one of that name runs with other settings.
    """
    found = state.find(profile.name)
    if found is None or not found.up:
        return None
    if found.profile != profile:
        raise ConfigError(
            f"A cluster '{profile.name}' is up with other settings than the profile's: end it with "
            f"`sparkscale cluster down {profile.name}`."
        )
    return Cluster(profile, budget, jdk, found)


@contextmanager
def cluster_for(
    profile: ClusterProfile, budget: Budget, jdk: java.Java, folder: Path, logs: Path
) -> Iterator[Cluster]:
    """The profile's running cluster, left running, else one that is brought up for the block, and ended after it."""
    found = running(profile, budget, jdk)
    if found is not None:
        found.restore()
        yield found
        return
    cluster = bring_up(profile, budget, jdk, folder, logs, kept=False)
    try:
        yield cluster
    finally:
        cluster.end()


def sweep() -> list[str]:
    """Ends the clusters that nobody owns any more, as of a killed run; returns their names.

    To be called under the machine's lock, which the owner of a living one holds.
    """
    ended = []
    for found in state.every():
        if found.stale or (found.ready and not found.up):
            _end(found)
            ended.append(found.profile.name)
    return ended


def take_down(name: str) -> ClusterState:
    """Ends a cluster that is kept. Raises ClusterError when there is none."""
    found = state.find(name)
    if found is None:
        up = ", ".join(one.profile.name for one in state.every()) or "none"
        raise ClusterError(f"No cluster '{name}' is up (up: {up}).")
    _end(found)
    return found


def _end(found: ClusterState) -> None:
    """Workers before their master, which would else notice them missing; then what they wrote."""
    for daemon in reversed(found.daemons):
        daemon.end()
    shutil.rmtree(found.folder, ignore_errors=True)
    found.forget()
