"""Searches for the smallest heap with which a case of a Spark engine is still fast enough."""

import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from cluster.budget import LEAST_HEAP_BYTES, Budget, budget
from cluster.endpoint import existing
from cluster.lifecycle import Cluster
from cluster.profile import Connect
from cluster.settings import heap_setting
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from sparkscale.measure.plan.filter import FILTER_KEYS, select_cases
from sparkscale.measure.plan.rounds import Execution, planned_executions
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.run import bisection
from sparkscale.measure.run.clusters import ready_cluster
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.preparation import Models, prepare_all, prepare_models
from sparkscale.measure.run.progress import Observer, Piece, outcome_text
from sparkscale.measure.run.records import Recorder
from sparkscale.measure.run.runner import Runner
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store
from workloads.registry import AnySource

MIB = 2**20
REPEATS = 3
"""The number of executions with the profile's heap before the search.

A probe, which tries one smaller heap, has at most the same number of executions.
"""
PRECISION = 1.1
"""The search ends when a heap that is enough is at most this many times a heap that is too small."""
PATIENCE = 5.0
"""A probe times out if it takes this many times as long as the slowest execution with the profile's heap."""
LEAST_PATIENCE_SECONDS = 30.0

SEEDS = Seeds(fixed=True)
"""All probes have the same seeds, so that they do the same work."""

Judge = Callable[[list[RunRecord], list[RunRecord]], bool | None]
"""Returns true if the heap of a probe is enough, false if not, and None if the probe needs another execution.

The arguments are the records with the profile's heap, and the records of the probe.
"""


@dataclass(frozen=True)
class Request:
    """The request of the user. `case` is a filter that selects one case of the suite.

    `out` is the folder of the store. If `cluster` or `data` is None, the suite's profile or data set is used.
    """

    case: str
    suite: str
    out: Path
    cluster: str | None = None
    data: AnySource | None = None


@dataclass
class _Progress:
    """Adds the current heap to each message for the user, and remembers the time of the longest execution."""

    base: Observer
    heap: str = ""
    longest_seconds: float = 0.0

    def planned(self, pieces: list[Piece]) -> None:
        """Shows nothing, because the search gives the runner one execution at a time."""

    def doing(self, text: str) -> None:
        self.base.doing(f"{self.heap}: {text}")

    def note(self, text: str) -> None:
        self.base.note(f"{self.heap}: {text}")

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self.base.doing(f"{self.heap}: {label}")

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None:
        self.longest_seconds = max(self.longest_seconds, took_seconds)
        if not record.is_warmup:
            self.note(f"repeat {record.round}: {outcome_text(record)}")

    def close(self) -> None: ...


def search(request: Request, observer: Callable[[], Observer], judge: Judge) -> str:
    """Measures the case with its profile's heap, then with smaller heaps. Returns the id of the run.

    Every execution is stored. `judge` decides if a heap is enough. If the profile's own heap is not enough, no
    other heap is tried. Raises ConfigError if the request selects no case, several cases, or a case with a fixed
    heap.
    """
    loaded = suite.load(request.suite)
    if request.data is not None:
        loaded = loaded.on(request.data)
    planned = planned_cases(loaded, clusters=None if request.cluster is None else (request.cluster,))
    chosen = choose(planned, request.case)
    _check_heap_can_be_set(chosen)
    granted = budget(chosen.cluster)
    Store.check_writable(request.out)
    if not chosen.cluster.starts_daemons:
        existing(chosen.cluster)
    with machine_lock(), closing(observer()) as watching, scratch_folder() as scratch:
        data = prepare_all(
            {chosen.dataset: loaded.source(chosen.dataset)}, chosen.cluster, granted, watching, scratch / "data"
        )
        executions = _executions(chosen, data, granted)
        with Store.open(request.out) as store:
            invocation = _invocation(request)
            logs = request.out / "logs" / invocation.id
            logs.mkdir(parents=True, exist_ok=True)
            with ready_cluster(chosen.cluster, granted, scratch, logs, watching) as running:
                if running.state and running.state.kept and isinstance(chosen.cluster, Connect):
                    raise ConfigError(
                        f"The server of cluster '{chosen.cluster.name}' is kept up, so its heap cannot change: "
                        f"stop it first with `sparkscale cluster down {chosen.cluster.name}`."
                    )
                models = prepare_models(executions, data, chosen.cluster, granted, watching, scratch, running)
                store.begin(invocation)
                _Search(
                    loaded,
                    chosen,
                    granted,
                    executions,
                    data,
                    models,
                    store,
                    invocation,
                    logs,
                    scratch,
                    running,
                    watching,
                ).run(judge)
    return invocation.id


def choose(planned: list[PlannedCase], expression: str) -> PlannedCase:
    """Returns the one case that the filter `expression` selects.

    If the filter has no `set=`, cases with aligned parameters are preferred. Raises ConfigError if the filter
    selects no case or several cases. The message lists the choices.
    """
    cases = list(dict.fromkeys(replace(case, isolate=False, rounds=1) for case in select_cases(planned, expression)))
    if "set=" not in expression:
        cases = [case for case in cases if case.parameter_set == "aligned"] or cases
    if len(cases) == 1:
        return cases[0]
    choices = {key: list(dict.fromkeys(case.key(key) for case in cases)) for key in FILTER_KEYS}
    several = [f"{key}={' or '.join(values)}" for key, values in choices.items() if len(values) > 1]
    if not several:
        raise ConfigError(
            f"'{expression}' selects {len(cases)} cases that differ in their parameters only: use a suite that has "
            "only one of them."
        )
    raise ConfigError(f"'{expression}' selects {len(cases)} cases: choose one by {', '.join(several)}.")


def _check_heap_can_be_set(chosen: PlannedCase) -> None:
    """Raises ConfigError if the heap of the case cannot be set. The message has the reason."""
    engine, cluster = chosen.engine.name, chosen.cluster
    if chosen.engine.placement == "node":
        raise ConfigError(
            f"{engine} runs on one node without a JVM, so it has no heap: measure an isolated case to see the "
            "memory that it needs (`isolate = true` in a suite)."
        )
    if isinstance(cluster, Connect) and cluster.url:
        raise ConfigError(
            f"The server of cluster '{cluster.name}' is not started by sparkscale: set its heap where it is started."
        )
    if heap_setting(cluster) in dict(cluster.conf):
        raise ConfigError(
            f"Cluster '{cluster.name}' sets {heap_setting(cluster)} in its [conf]: remove it there, so that the "
            "search can change it."
        )


def _executions(chosen: PlannedCase, data: dict[str, PreparedDataset], granted: Budget) -> list[Execution]:
    """Returns the executions of the case, one for each of the rounds 1 to REPEATS + 1.

    Raises ConfigError if the engine does not support the case.
    """
    rounds = REPEATS + 1
    executions = planned_executions([replace(chosen, rounds=rounds)], data, granted, SEEDS, rounds)
    reason = executions[0].unsupported
    if reason is not None:
        raise ConfigError(f"{executions[0].case.label} cannot run: {reason}.")
    return sorted(executions, key=lambda execution: execution.round)


def _invocation(request: Request) -> Invocation:
    return Invocation(
        id=uuid.uuid4().hex[:12],
        suite=request.suite,
        started_at=datetime.now(UTC),
        seed=0,
        seeds=SEEDS,
        rounds=REPEATS,
        filter=request.case,
        clusters=None if request.cluster is None else (request.cluster,),
        data=request.data.model_dump(mode="json") if request.data else None,
        command="heap",
        executions=0,
    )


@dataclass
class _Search:
    """One search for the smallest heap, with everything that was prepared for it."""

    suite: Suite
    chosen: PlannedCase
    granted: Budget
    executions: list[Execution]
    data: dict[str, PreparedDataset]
    models: Models
    store: Store
    invocation: Invocation
    logs: Path
    scratch: Path
    cluster: Cluster
    observer: Observer
    progress: _Progress = field(init=False)

    def __post_init__(self) -> None:
        self.progress = _Progress(self.observer)

    def run(self, judge: Judge) -> None:
        """Measures with the profile's heap, then with smaller heaps, and once more with the profile's heap.

        The last execution shows if the machine became slower or faster during the search.
        """
        profile_heap_bytes = self.granted.heap_bytes
        assert profile_heap_bytes is not None
        reference = [
            record
            for execution in self.executions[:REPEATS]
            for record in self._measure(execution, profile_heap_bytes)
        ]
        if judge(reference, reference) is not True:
            return
        patience = max(LEAST_PATIENCE_SECONDS, PATIENCE * self.progress.longest_seconds)

        def is_enough(mebibytes: int) -> bool:
            probe: list[RunRecord] = []
            for execution in self.executions[:REPEATS]:
                probe += self._measure(execution, mebibytes * MIB, patience)
                verdict = judge(reference, probe)
                if verdict is not None:
                    return verdict
            raise AssertionError(f"{REPEATS} repeats did not decide")

        bisection.smallest(is_enough, LEAST_HEAP_BYTES // MIB - 1, profile_heap_bytes // MIB, PRECISION)
        self._measure(self.executions[REPEATS], profile_heap_bytes)

    def _measure(self, execution: Execution, heap_bytes: int, patience: float | None = None) -> list[RunRecord]:
        """Executes the case once, in a new worker with this heap. Returns the records, without those of warm-ups.

        `patience` is an upper limit for the deadline in seconds; None: the suite's deadline.
        """
        self.progress.heap = f"heap {heap_bytes // MIB:,} MiB"
        probed = self.granted.with_heap(heap_bytes)
        self.cluster.budget = probed
        before = len(self.store.records(self.invocation.id))
        recorder = Recorder(
            self.store, self.invocation, self.suite.name, probed, list(self.data.values()), self.models
        )
        deadline = self.suite.deadline_seconds
        Runner(
            recorder=recorder,
            observer=self.progress,
            ledger=Ledger(),
            profile=self.chosen.cluster,
            budget=probed,
            cluster=self.cluster,
            deadline_seconds=deadline if patience is None else min(deadline, patience),
            logs=self.logs,
            scratch=self.scratch,
            data=self.data,
            models=self.models,
        ).run([execution])
        return [record for record in self.store.records(self.invocation.id)[before:] if not record.is_warmup]
