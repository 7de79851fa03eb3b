"""Starts and stops clusters on this machine, finds running ones, and restarts daemons that have died.

This module never imports pyspark.
"""

import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import connect, java, network, standalone, state, throughput
from cluster.budget import Budget
from cluster.daemon import Daemon, end_children, end_unsaved
from cluster.endpoint import Endpoint, existing
from cluster.network import Network
from cluster.profile import ClusterProfile, Connect, Emulated, SparkDaemons, Standalone
from cluster.settings import JAVA_TEMPORARY, session_settings
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError, ConfigError

WATCH_SECONDS = 1.0


@dataclass
class Cluster:
    """The cluster that a profile's Spark sessions connect to.

    `state` is None if sparkscale started no daemon for the cluster.
    """

    profile: ClusterProfile
    budget: Budget
    jdk: java.Java
    state: ClusterState | None = None
    _watch_again: float = 0.0
    _kills_before: int = 0
    """The number of processes that the kernel killed at memory limits, in the trees of daemons that are already
    ended."""

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that Spark sessions connect to. Raises ClusterError if nothing listens there."""
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
            executors=sessions[1:] if isinstance(self.profile, SparkDaemons) else (),
            events=self.state.folder / "events" if isinstance(self.profile, Connect) else None,
            address_here=self.state.network.driver_address if self.state.network else "",
            link=self.state.link,
        )

    @property
    def is_renewable(self) -> bool:
        """True for a Connect server that a run has started.

        Sessions on the server share its JVM. So a worker gets a fresh JVM only if `renew` replaces the server
        first.
        """
        return isinstance(self.profile, Connect) and self.state is not None and not self.state.kept

    def renew(self) -> None:
        """Ends all daemons and starts new ones."""
        self._end_daemons(self._state.daemons)
        self._save(daemons=(), ready=False)
        self._start()

    def lost(self) -> list[Daemon]:
        """Returns the daemons that have ended."""
        return [daemon for daemon in self.state.daemons if not daemon.alive] if self.state else []

    def watch(self) -> list[str]:
        """Starts Spark workers again that have ended, so that Spark can go on with the case. Returns their names.

        Call this while a case runs. If the master has ended, nothing is started, because a Spark application can
        go on without its master. It cannot go on without its Connect server.

        Raises ClusterError if the Connect server has ended.
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
        """Returns how many processes the kernel has killed at a memory limit, in the trees of all daemons."""
        now = sum(daemon.out_of_memory() for daemon in self.state.daemons) if self.state else 0
        return self._kills_before + now

    def restore(self) -> list[str]:
        """Starts daemons again that have ended, and returns their names.

        If the master or the Connect server has ended, all daemons are replaced, and open Spark sessions are lost.
        """
        lost = self.lost()
        if not lost or self.state is None:
            return []
        names = [daemon.name for daemon in lost]
        self._end_daemons(lost)
        left = tuple(daemon for daemon in self.state.daemons if daemon not in lost)
        if self.state.daemons[0] in lost:  # without their master or server, the other daemons are useless
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
        """Ends every daemon, and removes the cluster's files and saved state."""
        if self.state is not None:
            _end(self.state)
            self.state = None

    def _start(self) -> None:
        """Starts every missing daemon, and saves the state after each.

        At the end `ready` is true, which means that all daemons can be used.
        """
        if isinstance(self.profile, SparkDaemons):
            self._start_standalone(self.profile)
        else:
            self._start_server()
        self._save(ready=True)

    def _start_standalone(self, profile: Standalone | Emulated) -> None:
        if isinstance(profile, Emulated):
            self._start_network(profile)
        daemons = {daemon.name: daemon for daemon in self._state.daemons}
        common = self._state.secret, self.jdk
        if "master" not in daemons:
            folder = self._state.folder / f"master-{secrets.token_hex(4)}"
            master = standalone.start_master(
                profile,
                *common,
                self.budget.driver,
                folder,
                self._state.logs,
                self._state.kept,
                self._state.network,
            )
            self._save(daemons=(master,))
            address, web = standalone.addresses(master)
            self._save(address=address, web=web)
            daemons = {"master": master}
        for number, grant in enumerate(self.budget.daemons, start=1):
            name = f"worker-{number}"
            if name not in daemons:
                daemons[name] = standalone.start_worker(
                    profile,
                    number,
                    grant,
                    self._state.address,
                    *common,
                    self._state.folder,
                    self._state.logs,
                    self._state.kept,
                    self._state.network,
                )
                order = ("master", *(f"worker-{number + 1}" for number in range(len(self.budget.daemons))))
                self._save(daemons=tuple(daemons[name] for name in order if name in daemons))
        standalone.await_workers(self._state.web, len(self.budget.daemons), self._state.daemons)

    def _start_network(self, profile: Emulated) -> None:
        """Makes the network of emulated hosts and measures its links, unless it exists.

        The state is saved first, so that a later command can remove the parts of a network that is only half made.
        """
        if self._state.network is None:
            self._save(network=Network.plan(profile))
        made = self._state.network
        assert made is not None
        if not made.exists:
            made.remove()
            made.build()
            throughput.check_driver(made)
            self._save(link=made.link(throughput.measure(made)))

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
        self._save(daemons=(server,))
        self._save(address=connect.address(server))

    @property
    def _state(self) -> ClusterState:
        assert self.state is not None
        return self.state

    def _save(self, **changes: object) -> None:
        self.state = self._state.model_copy(update=changes).save()


def bring_up(
    profile: ClusterProfile, budget: Budget, jdk: java.Java, folder: Path, logs: Path, kept: bool
) -> Cluster:
    """Starts a profile's daemons. If `kept` is true, they outlive this process.

    The daemons write below `folder`, and their logs to `logs`. The caller must hold the machine's lock. If a daemon
    does not start, all daemons are ended, and ClusterError with the last lines of that daemon's log is raised.
    """
    if not profile.starts_daemons:
        return Cluster(profile, budget, jdk)
    if isinstance(profile, Emulated):
        network.check(profile)
    for new_folder in (folder, logs):
        new_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
    """Returns the running cluster that `sparkscale cluster up` started for this profile; None if there is none.

    Raises ConfigError if a cluster with this profile's name runs with other settings. Its price may differ.
    """
    saved = state.find(profile.name)
    if saved is None or not saved.up:
        return None
    if saved.profile.without_price != profile.without_price:
        raise ConfigError(
            f"A cluster '{profile.name}' is up with other settings than the profile's: end it with "
            f"`sparkscale cluster down {profile.name}`."
        )
    return Cluster(profile, budget, jdk, saved)


@contextmanager
def cluster_for(
    profile: ClusterProfile, budget: Budget, jdk: java.Java, folder: Path, logs: Path
) -> Iterator[Cluster]:
    """Yields the profile's running cluster, and leaves it running. If none runs, starts one for the block only."""
    kept = running(profile, budget, jdk)
    if kept is not None:
        kept.restore()
        yield kept
        return
    cluster = bring_up(profile, budget, jdk, folder, logs, kept=False)
    try:
        yield cluster
    finally:
        cluster.end()


def sweep() -> list[str]:
    """Ends clusters that have lost their owner process, for example because a run was killed.

    Also ends clusters without a living daemon. Returns the names of all ended clusters. The caller must hold the
    machine's lock. While a cluster is in use, its owner holds this lock. So no cluster is in use now.
    """
    ended = []
    for saved in state.every():
        if saved.stale or (saved.ready and not saved.up):
            _end(saved)
            ended.append(saved.profile.name)
    return ended


def take_down(name: str) -> ClusterState:
    """Ends a cluster that `sparkscale cluster up` started. Raises ClusterError if no cluster has this name."""
    saved = state.find(name)
    if saved is None:
        up = ", ".join(other.profile.name for other in state.every()) or "none"
        raise ClusterError(f"No cluster '{name}' is up (up: {up}).")
    _end(saved)
    return saved


def _end(saved: ClusterState) -> None:
    """Ends the daemons of a cluster, then removes their files.

    Spark workers are ended before their master. Otherwise the master would notice that they are missing. Raises
    ClusterError, and keeps the state, if the network of emulated hosts cannot be removed.
    """
    for daemon in reversed(saved.daemons):
        daemon.end()
    end_unsaved(saved.folder)
    if saved.network:
        saved.network.remove()
    shutil.rmtree(saved.folder, ignore_errors=True)
    saved.forget()
