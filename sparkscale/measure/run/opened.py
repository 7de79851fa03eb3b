"""A run that is ready to measure: its data is prepared, and its executions can be measured in several goes."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cluster.budget import Budget
from cluster.lifecycle import Cluster
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
from sparkscale.measure.run.preparation import prepare_models
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.records import Recorder
from sparkscale.measure.run.runner import Runner
from sparkscale.measure.run.scratch import scratch_folder, subfolder
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
    _clusters: "_Clusters" = field(init=False)

    def __post_init__(self) -> None:
        self._clusters = _Clusters(self)

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

    def measure(self, cluster: ClusterProfile, executions: Sequence[Execution], ends_at: float | None = None) -> None:
        """Measures executions of one profile, each round in fresh workers. Failed executions get a record, too.

        After the time `ends_at` (time.monotonic()), no execution begins, and a running one is stopped. None: there is
        no such time.

        The profile's cluster starts with the first execution that needs it. It runs until executions of another
        profile are measured, or until the run is closed.
        """
        granted, data = self.plan.profiles[cluster], self.data[cluster]
        needs_spark = any(one.case.placement == "spark" and one.unsupported is None for one in executions)
        running = self._clusters.ready(cluster, needs_spark)
        with self.ledger.time("preparing"), subfolder(self.scratch, "models") as folder:
            models = prepare_models(list(executions), data, cluster, granted, self.observer, folder, running)
        runner = Runner(
            recorder=Recorder(
                self.store, self.invocation, self.plan.suite.name, granted, list(data.values()), models
            ),
            observer=self.observer,
            ledger=self.ledger,
            profile=cluster,
            budget=granted,
            cluster=running,
            deadline_seconds=self.plan.suite.deadline_seconds,
            logs=self.logs,
            scratch=self.scratch,
            data=data,
            models=models,
            ends_at=ends_at,
        )
        runner.run(list(executions))

    def close(self) -> None:
        """Stops the cluster that this run has started."""
        self._clusters.close()


@dataclass
class _Clusters:
    """The running cluster of an opened run. Only one profile has a running cluster at a time.

    The reason is that the idle daemons of another cluster hold memory.
    """

    run: OpenedRun
    profile: ClusterProfile | None = None
    running: Cluster | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def ready(self, profile: ClusterProfile, needs_spark: bool) -> Cluster | None:
        """Returns the running cluster of the profile, and starts it if `needs_spark` is true.

        Returns None if it does not run and is not needed. Stops the cluster of another profile.
        """
        if profile != self.profile:
            self.close()
        if self.running is None and needs_spark:
            folder = self._stack.enter_context(subfolder(self.run.scratch, "cluster"))
            granted = self.run.plan.profiles[profile]
            with self.run.ledger.time("starting"):
                self.running = self._stack.enter_context(
                    ready_cluster(profile, granted, folder, self.run.logs, self.run.observer)
                )
            self.profile = profile
            origin.check_same_java(self.run.earlier, self.run.store, self.running)
        return self.running

    def close(self) -> None:
        self._stack.close()
        self.profile = self.running = None


@contextmanager
def opened(
    invocation: Invocation,
    plan: Plan,
    data: Data,
    store: Store,
    observer: Observer,
    ledger: Ledger,
    out: Path,
) -> Iterator[OpenedRun]:
    """Yields a stored run that is ready to measure. `out` is the folder of its store.

    Raises ConfigError if the run has records of another host, code or software.
    """
    earlier_records = store.records(invocation.id)
    origin.check_same_origin(earlier_records, store)
    logs = out / "logs" / invocation.id
    logs.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as scratch:
        run = OpenedRun(invocation, plan, data, store, observer, ledger, logs, earlier_records, scratch)
        try:
            yield run
        finally:
            run.close()
