"""Prepares data sets and models in a worker, for a run or for `sparkscale data prepare`."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from sparkscale.contract.case import Case, Placement
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ClusterError, ModelError, SparkscaleError
from sparkscale.contract.model import PreparedModel
from sparkscale.measure.plan.rounds import Execution
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied, WorkerProcess
from sparkscale.measure.worker.protocol import ModelPrepared, Prepare, Prepared, PrepareModel
from sparkscale.measure.worker.startup import Session, open_worker
from workloads import registry
from workloads.registry import AnySource

PREPARE_SECONDS = 24 * 3600.0
MODEL_SECONDS = 3600.0

Models = dict[str, PreparedModel | ModelError]
"""The model that each case applies, or the error if no model could be made. Keys are the ids of cases."""


def prepare_all(
    sources: dict[str, AnySource],
    profile: ClusterProfile,
    budget: Budget,
    observer: Observer,
    scratch: Path,
    sample_seeds: tuple[int, ...] = (0,),
    cluster: Cluster | None = None,
    tasks: int | None = None,
) -> dict[str, PreparedDataset]:
    """Prepares data sets on the profile's storage, in a worker that measures nothing. Returns them by name.

    If `cluster` is given, its executors write the data. Otherwise processes on this node write it. Raises
    ClusterError, and the errors of the preparation itself: ConfigError or DatasetError.
    """
    scratch.mkdir()
    observer.doing("starting a worker that prepares data")
    with _worker("data", profile, budget, scratch / "worker", cluster) as worker:
        prepared = {}
        for name, source in sources.items():

            def progress(text: str, title: str = source.title) -> None:
                observer.doing(f"preparing data: {title}, {text}")

            observer.doing(f"preparing data: {source.title}")
            request = Prepare(source=source, storage=profile.storage_location, sample_seeds=sample_seeds, tasks=tasks)
            reply = worker.request(request, PREPARE_SECONDS, on_phase=progress)
            assert isinstance(reply, Prepared)
            for note in reply.notes:
                observer.note(f"{source.title}: {note}")
            prepared[name] = reply.data
        return prepared


def prepare_models(
    executions: list[Execution],
    data: dict[str, PreparedDataset],
    profile: ClusterProfile,
    budget: Budget,
    observer: Observer,
    scratch: Path,
    cluster: Cluster | None,
) -> Models:
    """Returns the models that these executions and their warm-ups apply.

    Models that are not on the profile's storage yet are made there, in workers that measure nothing. Models of
    Spark's libraries are made in a session on `cluster`. If a model cannot be made, only the cases that apply it
    fail. Raises ClusterError if no worker starts.
    """
    models: Models = {}
    failures: dict[str, ModelError] = {}
    for placement in ("node", "spark"):
        with ExitStack() as stack:
            worker, shown_text = None, ""
            for case in _given_models(executions, placement):
                by_engine = f" by {case.engine}" if placement == "spark" else ""
                text = f"the model of {case.workload}{by_engine} and its predictions of {case.dataset}"
                subject = f"{text} {case.params['model']} {case.params.get('train_fraction')}"
                if subject in failures:
                    models[case.id] = failures[subject]
                    continue
                if worker is None:
                    observer.doing("starting a worker that prepares models")
                    folder = scratch / f"models-{placement}-{len(failures)}"
                    model_cluster = cluster if placement == "spark" else None
                    worker = stack.enter_context(_worker("models", profile, budget, folder, model_cluster))
                if text != shown_text:
                    observer.doing(f"preparing {text}")
                shown_text = text
                try:
                    reply = worker.request(PrepareModel(case=case, data=data[case.dataset]), MODEL_SECONDS)
                    assert isinstance(reply, ModelPrepared)
                    models[case.id] = reply.model
                except (SparkscaleError, WorkerDied, DeadlineExceeded) as error:
                    reason = str(error) or f"it took longer than {MODEL_SECONDS / 3600:.0f} h."
                    models[case.id] = failures[subject] = ModelError(f"The model could not be made: {reason}")
                    observer.note(f"{case.label}: {models[case.id]}")
                    stack.close()
                    worker = None
    return models


def _given_models(executions: list[Execution], placement: Placement) -> list[Case]:
    """Returns the cases and warm-ups that apply a model made on this placement, each once."""
    cases = {
        case.id: case
        for execution in executions
        if execution.unsupported is None
        for case in (*execution.warmups, execution.case)
    }
    workloads = registry.workloads()
    return [
        case for case in cases.values() if workloads[case.workload].engine(case.engine).model_placement == placement
    ]


@contextmanager
def _worker(
    what: str, profile: ClusterProfile, budget: Budget, scratch: Path, cluster: Cluster | None
) -> Iterator[WorkerProcess]:
    """Yields a worker that measures nothing and ends when the context ends.

    `what` tells the user what the worker prepares. Raises ClusterError if the worker ends early or takes too long.
    """
    try:
        worker, _ = open_worker(
            profile,
            budget,
            Session("spark", 1) if cluster else Session("node", len(budget.node.cpus)),
            log=scratch.with_suffix(".log"),
            scratch=scratch,
            cluster=cluster,
            limited=False,
        )
        try:
            yield worker
        finally:
            worker.kill()
    except WorkerDied as death:
        raise ClusterError(f"Preparing {what} failed. {death}") from death
    except DeadlineExceeded:
        raise ClusterError(
            f"Preparing {what} took longer than {PREPARE_SECONDS / 3600:.0f} h and was stopped: use fewer rows."
        ) from None
