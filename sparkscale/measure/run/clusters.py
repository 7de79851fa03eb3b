"""Clusters for a run, and those that `sparkscale cluster` keeps up."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cluster import java, lifecycle, state
from cluster.budget import Budget, budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile, cache_folder, load, name_of
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
    """A running cluster of this profile whose executors fit; what is brought up for the block ends with it.

    Raises ClusterError when there is none: Java or a daemon does not start, nobody answers, executors do not fit.
    """
    for other in state.every():
        if other.up and other.profile.name != profile.name:
            observer.note(f"Cluster '{other.profile.name}' is up beside this run: its idle daemons hold memory.")
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
    """In a worker of its own, so that no measured session has run anything before.

    Raises ClusterError when versions differ, or the storage cannot be read.
    """
    scratch.mkdir()
    try:
        worker, _ = open_worker(
            cluster.profile, cluster.budget, Session("spark", 1), log, scratch / "worker", cluster
        )
        try:
            found = worker.request(Examine(), EXAMINE_SECONDS)
            assert isinstance(found, Examined)
            worker.close()
            return found.executors
        finally:
            worker.kill()
    except WorkerDied as death:
        raise ClusterError(f"No session on cluster '{cluster.profile.name}'. {death}") from death
    except DeadlineExceeded:
        raise ClusterError(
            f"Cluster '{cluster.profile.name}': no answer of its executors within {EXAMINE_SECONDS:.0f} s: see {log}."
        ) from None


def up(name: str, observer: Callable[[], Observer]) -> ClusterState:
    """Starts a profile's daemons, to be kept. Raises ConfigError for a profile that has none, or is up already."""
    where = load(name)
    if not where.starts_daemons:
        raise ConfigError(f"Cluster '{where.name}' is of kind '{where.kind}': there is nothing to start.")
    granted = budget(where)
    with machine_lock(), scratch_folder() as scratch, closing(observer()) as watching:
        found = state.find(where.name)
        if found is not None:
            raise ConfigError(f"Cluster '{where.name}' is up already, at {found.address}.")
        folder = state.state_folder() / where.name
        shutil.rmtree(folder, ignore_errors=True)
        watching.doing(f"starting cluster {where.name}")
        cluster = lifecycle.bring_up(
            where, granted, java.find(cache_folder()), folder / "work", folder / "logs", kept=True
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
    """Ends a cluster that is kept. Raises ClusterError when there is none of this name."""
    with machine_lock():
        return lifecycle.take_down(name_of(name))


def known(name: str | None) -> list[ClusterState]:
    """What is written down of clusters on this machine, all or one.

    Raises ConfigError when the one is not up.
    """
    found = [one for one in state.every() if name is None or one.profile.name == name_of(name)]
    if name is not None and not found:
        raise ConfigError(f"Cluster '{name_of(name)}' is not up: `sparkscale cluster up {name}` starts it.")
    return found
