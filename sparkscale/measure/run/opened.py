"""A run that is ready to measure: its data is prepared, and its executions can be measured in several goes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cluster.budget import Budget
from cluster.profile import ClusterProfile
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.record import RunRecord
from sparkscale.measure.plan import targets
from sparkscale.measure.plan.cases import PlannedCase
from sparkscale.measure.plan.rounds import Execution, planned_executions
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.run import origin
from sparkscale.measure.run.clusters import ready_cluster
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.preparation import Models, prepare_models
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.records import Recorder
from sparkscale.measure.run.runner import Runner, Times
from sparkscale.measure.run.scratch import scratch_folder, subfolder
from sparkscale.measure.worker.startup import Session
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

Key = tuple[str, int, bool]

Data = dict[ClusterProfile, dict[str, PreparedDataset]]
"""The data sets of each profile. The inner keys are the names that cases use."""


@dataclass(frozen=True)
class Plan:
    """A checked request: its suite, cases and profiles exist."""

    suite: Suite
    cases: list[PlannedCase]
    profiles: dict[ClusterProfile, Budget]


@dataclass
class OpenedRun:
    """A stored run with prepared data. The caller holds the machine's lock as long as the run is open.

    `earlier` are the records that the run had when it was opened. `scratch` exists until the run is closed.
    """

    invocation: Invocation
    plan: Plan
    data: Data
    store: Store
    observer: Observer
    ledger: Ledger
    logs: Path
    earlier: list[RunRecord]
    scratch: Path
    keeps_worker: bool = False
    """If true, a worker waits for the next go, which uses it for executions of the same round."""
    cluster_seconds: dict[str, float] = field(default_factory=dict)
    """The seconds that the last start of each cluster took, by the name of its profile."""
    _place: "_Place | None" = None

    @cached_property
    def executions(self) -> dict[ClusterProfile, list[Execution]]:
        """All executions of the run, by profile. Executions that have a record already are included."""
        known_targets = targets.known_targets(self.plan.suite, self.store, self.invocation.started_at)
        drawn = self.invocation.drawn
        planned = {}
        for cluster, granted in self.plan.profiles.items():
            cases = [case for case in self.plan.cases if case.cluster == cluster]
            cases = targets.with_targets(cases, self.data[cluster], granted, drawn, known_targets)
            planned[cluster] = planned_executions(cases, self.data[cluster], granted, drawn, self.invocation.rounds)
        return planned

    def measure(self, cluster: ClusterProfile, executions: Sequence[Execution], times: Times | None = None) -> None:
        """Measures executions of one profile, each round in fresh workers. Failed executions get a record, too.

        `times` limits the go. None: it has no limit.

        The profile's cluster starts with the first execution that needs it. It runs until executions of another
        profile are measured, or until the run is closed. So does the last worker, if `keeps_worker` is true, or until
        another round begins.
        """
        if self._place is None or self._place.profile != cluster:
            self.close()
            self._place = _Place(self, cluster)
        self._place.measure(list(executions), times)

    @property
    def waiting(self) -> tuple[ClusterProfile, int, Session, frozenset[str]] | None:
        """The worker that waits for the next go: its profile, round and properties, and the keys of its warm-ups.

        None if no worker waits.
        """
        worker = self._place.waiting if self._place else None
        return (self._place.profile, *worker) if self._place and worker else None

    @property
    def running(self) -> ClusterProfile | None:
        """The profile with a running cluster. None if no cluster runs."""
        return self._place.profile if self._place and self._place.is_running else None

    def close(self) -> None:
        """Ends the worker and the cluster that this run has started."""
        if self._place:
            self._place.close()
        self._place = None


class _Place:
    """The profile on which an opened run measures, with its running cluster. It has one at a time.

    The reason is that the idle daemons of another cluster hold memory.
    """

    def __init__(self, run: OpenedRun, profile: ClusterProfile) -> None:
        granted, data = run.plan.profiles[profile], run.data[profile]
        self.run = run
        self.profile = profile
        self._stack = ExitStack()
        self._models: Models = {}
        recorder = Recorder(
            run.store, run.invocation, run.plan.suite.name, granted, list(data.values()), self._models
        )
        self._runner = Runner(
            recorder=recorder,
            observer=run.observer,
            ledger=run.ledger,
            profile=profile,
            budget=granted,
            cluster=None,
            deadline_seconds=run.plan.suite.deadline_seconds,
            logs=run.logs,
            scratch=run.scratch,
            data=data,
            models=self._models,
            keeps_worker=run.keeps_worker,
        )

    def measure(self, executions: list[Execution], times: Times | None) -> None:
        """Measures these executions. See `OpenedRun.measure`."""
        run, runner = self.run, self._runner
        if any(one.case.placement == "spark" and one.unsupported is None for one in executions):
            self._start()
        with run.ledger.time("preparing"), subfolder(run.scratch, "models") as folder:
            self._models |= prepare_models(
                executions, runner.data, self.profile, runner.budget, run.observer, folder, runner.cluster
            )
        runner.times = times
        runner.run(executions)

    @property
    def waiting(self) -> tuple[int, Session, frozenset[str]] | None:
        """See `Runner.waiting`."""
        return self._runner.waiting

    @property
    def is_running(self) -> bool:
        """True if the cluster runs."""
        return self._runner.cluster is not None

    def _start(self) -> None:
        """Starts the cluster, unless it runs."""
        if self.is_running:
            return
        run, began = self.run, time.monotonic()
        folder = self._stack.enter_context(subfolder(run.scratch, "cluster"))
        with run.ledger.time("starting"):
            self._runner.cluster = self._stack.enter_context(
                ready_cluster(self.profile, self._runner.budget, folder, run.logs, run.observer)
            )
        run.cluster_seconds[self.profile.name] = time.monotonic() - began
        origin.check_same_java(run.earlier, run.store, self._runner.cluster)

    def close(self) -> None:
        try:
            self._runner.close()
        finally:
            self._stack.close()


@contextmanager
def opened(
    invocation: Invocation,
    plan: Plan,
    data: Data,
    store: Store,
    observer: Observer,
    ledger: Ledger,
    out: Path,
    keeps_worker: bool = False,
) -> Iterator[OpenedRun]:
    """Yields a stored run that is ready to measure. `out` is the folder of its store.

    Raises ConfigError if the run has records of another host, code or software.
    """
    earlier_records = store.records(invocation.id)
    origin.check_same_origin(earlier_records, store)
    logs = out / "logs" / invocation.id
    logs.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch:
        run = OpenedRun(invocation, plan, data, store, observer, ledger, logs, earlier_records, scratch, keeps_worker)
        try:
            yield run
        finally:
            run.close()
