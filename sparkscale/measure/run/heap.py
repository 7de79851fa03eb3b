"""Searches the smallest heap with which a case of a Spark engine still ends in good time."""

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
"""Rounds under the profile's own heap before the search; also the most repeats of one probe."""
PRECISION = 1.1
"""The search ends when the heap that is enough exceeds one that is too little by at most this factor."""
PATIENCE = 5.0
"""A probe ends as a timeout when it takes longer than the slowest execution under the own heap by this factor."""
LEAST_PATIENCE_SECONDS = 30.0

SEEDS = Seeds(fixed=True)
"""Every probe does the same work."""

Judge = Callable[[list[RunRecord], list[RunRecord]], bool | None]
"""From the records under the own heap and those of a probe: is its heap enough? None: another repeat must say."""


@dataclass(frozen=True)
class Request:
    """The case in the words of a filter, and where it is measured. None: as the suite says."""

    case: str
    suite: str
    out: Path
    cluster: str | None = None
    data: AnySource | None = None


@dataclass
class _Progress:
    """Passes on to the user what happens, under which heap, and keeps how long executions took."""

    base: Observer
    heap: str = ""
    longest_seconds: float = 0.0

    def planned(self, pieces: list[Piece]) -> None:
        """Says nothing: one probe is one execution."""

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
    """Measures the case under its profile's own heap, then probes smaller ones; returns the invocation's id.

    Every execution is stored. If one under the own heap fails, nothing else is tried. Raises ConfigError if the
    request selects no case, several, or one without a heap that could be set.
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
                        f"The server of cluster '{chosen.cluster.name}' is kept up with the heap that it has: end it "
                        f"first with `sparkscale cluster down {chosen.cluster.name}`."
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
    """The one case that a filter selects. Without `set=` the aligned parameters are meant, if they are measured.

    Raises ConfigError that lists the choices if it selects several.
    """
    found = list(dict.fromkeys(replace(one, isolate=False, rounds=1) for one in select_cases(planned, expression)))
    if "set=" not in expression:
        found = [one for one in found if one.parameter_set == "aligned"] or found
    if len(found) == 1:
        return found[0]
    choices = {key: list(dict.fromkeys(one.key(key) for one in found)) for key in FILTER_KEYS}
    several = [f"{key}={' or '.join(values)}" for key, values in choices.items() if len(values) > 1]
    if not several:
        raise ConfigError(
            f"'{expression}' selects {len(found)} cases that differ in their parameters only: use a suite that has "
            "one of them."
        )
    raise ConfigError(f"'{expression}' selects {len(found)} cases: choose one by {', '.join(several)}.")


def _check_heap_can_be_set(chosen: PlannedCase) -> None:
    """Raises ConfigError, with the reason."""
    engine, where = chosen.engine.name, chosen.cluster
    if chosen.engine.placement == "node":
        raise ConfigError(
            f"{engine} runs on one node without a JVM, so it has no heap: an isolated case (`isolate = true` in a "
            "suite) shows the memory that it needs."
        )
    if isinstance(where, Connect) and where.url:
        raise ConfigError(
            f"The server of cluster '{where.name}' is not started by sparkscale: its heap is set there."
        )
    if heap_setting(where) in dict(where.conf):
        raise ConfigError(
            f"Cluster '{where.name}' sets {heap_setting(where)} in its [conf]: remove it there, so that the search "
            "can change it."
        )


def _executions(chosen: PlannedCase, data: dict[str, PreparedDataset], granted: Budget) -> list[Execution]:
    """The case in rounds 1 to REPEATS + 1. Raises ConfigError if the engine does not support the case."""
    rounds = REPEATS + 1
    found = planned_executions([replace(chosen, rounds=rounds)], data, granted, SEEDS, rounds)
    reason = found[0].unsupported
    if reason is not None:
        raise ConfigError(f"{found[0].case.label} cannot run: {reason}.")
    return sorted(found, key=lambda execution: execution.round)


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
    """One search, once everything is ready to run."""

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
        """Own heap, probes, own heap once more: the machine may have become slower or faster in between."""
        most = self.granted.heap_bytes
        assert most is not None
        own = [record for execution in self.executions[:REPEATS] for record in self._measure(execution, most)]
        if judge(own, own) is not True:
            return
        patience = max(LEAST_PATIENCE_SECONDS, PATIENCE * self.progress.longest_seconds)

        def is_enough(mebibytes: int) -> bool:
            probe: list[RunRecord] = []
            for execution in self.executions[:REPEATS]:
                probe += self._measure(execution, mebibytes * MIB, patience)
                verdict = judge(own, probe)
                if verdict is not None:
                    return verdict
            raise AssertionError(f"{REPEATS} repeats did not decide")

        bisection.smallest(is_enough, LEAST_HEAP_BYTES // MIB - 1, most // MIB, PRECISION)
        self._measure(self.executions[REPEATS], most)

    def _measure(self, execution: Execution, heap_bytes: int, patience: float | None = None) -> list[RunRecord]:
        """Executes the case once in a fresh worker with this heap; returns its record, without warm-ups."""
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
