"""Starts the cluster of a run, and starts and stops the clusters that `sparkscale cluster` keeps running."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cluster import java, lifecycle, network, state
from cluster.budget import Budget, budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile, Emulated, cache_folder, load, name_of
from cluster.state import ClusterState
from sparkscale.contract.errors import ClusterError, ConfigError
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.measure.worker.executors import Executor
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied
from sparkscale.measure.worker.protocol import Examine, Examined
from sparkscale.measure.worker.startup import Session, open_worker

EXAMINE_SECONDS = 180.0


@contextmanager
def ready_cluster(
    profile: ClusterProfile, granted: Budget, scratch: Path, logs: Path, observer: Observer
) -> Iterator[Cluster]:
    """Yields a running cluster of this profile, after its executors passed all checks.

    In local mode there are no executors to check. Daemons that this function starts end with the context. Raises
    ClusterError if Java or a daemon does not start, the cluster does not answer, or executors fail a check.
    """
    for other in state.every():
        if other.up and other.profile.name != profile.name:
            observer.note(
                f"Cluster '{other.profile.name}' is up during this run, and its idle daemons hold memory. Stop it "
                f"with `sparkscale cluster down {other.profile.name}`."
            )
    if profile.starts_daemons:
        observer.doing(f"starting cluster {profile.name}")
    jdk = java.find(cache_folder())
    with lifecycle.cluster_for(
        profile, granted, jdk, scratch / "cluster", logs / f"cluster-{profile.name}"
    ) as cluster:
        if profile.kind != "local":
            observer.doing(f"examining the executors of {profile.name}")
            examine_executors(cluster, scratch / "examining", logs / f"{profile.name}-examining.log")
        yield cluster


def examine_executors(cluster: Cluster, scratch: Path, log: Path) -> list[Executor]:
    """Checks the executors of a cluster, and returns one report per host.

    This takes a worker of its own, because nothing may run in a measured session before its cases. Raises
    ClusterError if versions differ, a task uses too many threads, or the storage cannot be read.
    """
    scratch.mkdir()
    try:
        worker, _ = open_worker(
            cluster.profile, cluster.budget, Session("spark", 1), log, scratch / "worker", cluster
        )
        try:
            reply = worker.request(Examine(), EXAMINE_SECONDS)
            assert isinstance(reply, Examined)
            worker.close()
            return reply.executors
        finally:
            worker.kill()
    except WorkerDied as death:
        raise ClusterError(f"No session starts on cluster '{cluster.profile.name}'. {death}") from death
    except DeadlineExceeded:
        raise ClusterError(
            f"The executors of cluster '{cluster.profile.name}' gave no answer in {EXAMINE_SECONDS:.0f} s: see {log}."
        ) from None


def up(name: str, observer: Callable[[], Observer]) -> ClusterState:
    """Starts the daemons of the profile `name` and keeps them running. Returns the state of the cluster.

    Raises ConfigError if the profile has no daemons, or if its cluster is up already.
    """
    return up_profile(load(name), observer)


def up_profile(chosen: ClusterProfile, observer: Callable[[], Observer]) -> ClusterState:
    """Does the same as `up` for a profile that need not have a file."""
    name = chosen.name
    if not chosen.starts_daemons:
        raise ConfigError(
            f"Cluster '{chosen.name}' has no daemons to start, because it is of kind '{chosen.kind}': measure on it "
            f"with `sparkscale run --cluster {name}`."
        )
    if isinstance(chosen, Emulated):
        network.check(chosen)
    granted = budget(chosen)
    with machine_lock(), scratch_folder() as scratch, closing(observer()) as watching:
        running = state.find(chosen.name)
        if running is not None:
            raise ConfigError(
                f"Cluster '{chosen.name}' is up already, at {running.address}. Stop it with "
                f"`sparkscale cluster down {name}`."
            )
        folder = state.state_folder() / chosen.name
        shutil.rmtree(folder, ignore_errors=True)
        watching.doing(f"starting cluster {chosen.name}")
        cluster = lifecycle.bring_up(
            chosen, granted, java.find(cache_folder()), folder / "work", folder / "logs", kept=True
        )
        watching.doing("examining its executors")
        try:
            examine_executors(cluster, scratch / "examining", folder / "logs" / "examining.log")
        except BaseException:
            cluster.end()
            raise
        assert cluster.state is not None
        return cluster.state


def down(name: str) -> ClusterState:
    """Stops a cluster that `up` started, and returns its state. Raises ClusterError if no such cluster is up."""
    with machine_lock():
        return lifecycle.take_down(name_of(name))


def cluster_states(name: str | None) -> list[ClusterState]:
    """Returns the stored states of all clusters on this machine, or only of the cluster `name`.

    Raises ConfigError if `name` is given and this cluster is not up.
    """
    states = [entry for entry in state.every() if name is None or entry.profile.name == name_of(name)]
    if name is not None and not states:
        raise ConfigError(f"Cluster '{name_of(name)}' is not up: start it with `sparkscale cluster up {name}`.")
    return states
