"""What tests do with a cluster that is up."""

import sys
from functools import cache
from pathlib import Path

from cluster import java
from cluster.budget import budget
from cluster.lifecycle import Cluster
from cluster.profile import External, cache_folder
from cluster.state import ClusterState
from sparkscale.measure.worker.protocol import Examine, Examined
from sparkscale.measure.worker.startup import Session, open_worker

PATIENCE = 120.0


@cache
def found_java() -> java.Java:
    """The Java that sparkscale finds: it takes seconds, and is the same for all tests."""
    return java.find(cache_folder())


def written(cluster: Cluster) -> ClusterState:
    assert cluster.state is not None
    return cluster.state


def examined(cluster: Cluster, folder: Path) -> Examined:
    """What its executors say to a session of its own."""
    folder.mkdir(exist_ok=True)
    worker, _ = open_worker(
        cluster.profile, cluster.budget, Session("spark", 1), folder / "worker.log", folder / "worker", cluster
    )
    try:
        found = worker.request(Examine(), PATIENCE)
        assert isinstance(found, Examined)
        return found
    finally:
        worker.kill()


def external(cluster: Cluster, **changes: object) -> Cluster:
    """The same cluster as one that sparkscale did not start."""
    where = External.model_validate(
        {
            "name": "theirs",
            "kind": "external",
            "master": written(cluster).address,
            "executors": 2,
            "cores": 1,
            "memory": "1500m",
            "driver_memory": "2g",
            "python": sys.executable,
            "conf": {"spark.authenticate": "true"},
            "secrets": {"spark.authenticate.secret": "THEIR_SECRET"},
            **changes,
        }
    )
    return Cluster(where, budget(where), cluster.jdk)
