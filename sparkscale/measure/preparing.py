"""Makes data sets ready, in a worker: for a run, or for `sparkscale data prepare`."""

from pathlib import Path

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ClusterError
from sparkscale.measure.opening import Session, open_worker
from sparkscale.measure.progress import Observer
from sparkscale.measure.protocol import Prepare, Prepared
from sparkscale.measure.worker_process import DeadlineExceeded, WorkerDied
from workloads.registry import AnySource

PREPARE_SECONDS = 24 * 3600.0


def prepare_all(
    sources: dict[str, AnySource],
    profile: ClusterProfile,
    budget: Budget,
    observer: Observer,
    scratch: Path,
    sample_seed: int = 0,
    cluster: Cluster | None = None,
    tasks: int | None = None,
) -> dict[str, PreparedDataset]:
    """The data sets on the profile's storage, in a worker that measures nothing.

    With a `cluster` its executors write, else processes of this node. Raises ClusterError, and what the preparation
    itself raises: ConfigError or DatasetError.
    """
    scratch.mkdir()
    observer.doing("starting a worker that prepares data")
    try:
        worker, _ = open_worker(
            profile,
            budget,
            Session("spark", 1) if cluster else Session("node", len(budget.node.cpus)),
            log=scratch / "preparing.log",
            scratch=scratch / "worker",
            cluster=cluster,
            limited=False,
        )
        try:
            prepared = {}
            for name, source in sources.items():

                def progress(text: str, title: str = source.title) -> None:
                    observer.doing(f"preparing data: {title}, {text}")

                observer.doing(f"preparing data: {source.title}")
                request = Prepare(
                    source=source, storage=profile.storage_location, sample_seed=sample_seed, tasks=tasks
                )
                reply = worker.request(request, PREPARE_SECONDS, on_phase=progress)
                assert isinstance(reply, Prepared)
                for note in reply.notes:
                    observer.note(f"{source.title}: {note}")
                prepared[name] = reply.data
            return prepared
        finally:
            worker.kill()
    except WorkerDied as death:
        raise ClusterError(f"Preparing data failed. {death}") from death
    except DeadlineExceeded:
        raise ClusterError(f"Preparing data took longer than {PREPARE_SECONDS / 3600:.0f} h.") from None
