"""`sparkscale run`: from what the user asked for to a finished, or resumed, run in the store."""

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster import processes, profile
from cluster.profile import Budget, ClusterProfile
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.measure import environment, plan, suite
from sparkscale.measure.ledger import Ledger
from sparkscale.measure.lock import machine_lock
from sparkscale.measure.plan import PlannedCase
from sparkscale.measure.progress import Observer
from sparkscale.measure.records import Recorder
from sparkscale.measure.runner import Runner
from sparkscale.measure.store import Invocation, Store
from sparkscale.measure.suite import Suite

Key = tuple[str, int, bool]

SCRATCH_PREFIX = "sparkscale-run-"


@dataclass(frozen=True)
class Request:
    """What the user asked for. None: not said."""

    suite: str
    out: Path
    filter: str | None = None
    seed: int | None = None
    rounds: int | None = None
    resume: bool = False
    retry_failed: bool = False


@dataclass(frozen=True)
class Finished:
    """A run's end. `records` are those of the whole invocation, of which the last `added` are new."""

    invocation: str
    records: list[RunRecord]
    added: int
    logs: Path


@dataclass(frozen=True)
class _Plan:
    """A request that has been checked against what there is."""

    suite: Suite
    cases: list[PlannedCase]
    profiles: dict[ClusterProfile, Budget]


def measure(request: Request, observer: Callable[[], Observer], ledger: Ledger | None = None) -> Finished:
    """Measures what the request asks for; `observer` is made once it is known to be sound.

    `ledger` has been counting the wall time since the command began. A fault in the request raises ConfigError before
    anything is written.
    """
    if request.resume or request.retry_failed:
        with machine_lock(), Store.existing(request.out) as store:
            invocation = _continued(request, store.invocation(request.suite))
            return _measure(request, invocation, _planned(request, invocation), store, observer(), ledger or Ledger())
    invocation = Invocation(
        id=uuid.uuid4().hex[:12],
        suite=request.suite,
        started_at=datetime.now(UTC),
        seed=request.seed or 0,
        rounds=request.rounds or suite.load(request.suite).rounds,
        filter=request.filter,
        executions=0,
    )
    planned = _planned(request, invocation)
    invocation = invocation.model_copy(update={"executions": plan.count(planned.cases)})
    with machine_lock(), Store.open(request.out) as store:
        store.begin(invocation)
        return _measure(request, invocation, planned, store, observer(), ledger or Ledger())


def _continued(request: Request, invocation: Invocation) -> Invocation:
    """The invocation to go on with. Raises ConfigError when the request contradicts it."""
    for name in ("seed", "rounds", "filter"):
        asked, stored = getattr(request, name), getattr(invocation, name)
        if asked is not None and asked != stored:
            raise ConfigError(
                f"The run to resume has {name} {stored}, not {asked}: leave --{name} out, or start a new run."
            )
    return invocation


def _planned(request: Request, invocation: Invocation) -> _Plan:
    loaded = suite.load(request.suite)
    cases = plan.cases(loaded, invocation.rounds)
    if invocation.filter is not None:
        cases = plan.select(cases, invocation.filter)
    return _Plan(loaded, cases, {case.cluster: profile.budget(case.cluster) for case in cases})


def _measure(
    request: Request, invocation: Invocation, planned: _Plan, store: Store, observer: Observer, ledger: Ledger
) -> Finished:
    before = store.records(invocation.id)
    _check_same_origin(before, store)
    done = _measured(before, only_ok=request.retry_failed)
    logs = request.out / "logs" / invocation.id
    logs.mkdir(parents=True, exist_ok=True)
    try:
        for cluster, budget in planned.profiles.items():
            with _scratch() as scratch:
                runner = Runner(
                    recorder=Recorder(store, invocation, planned.suite.name, budget),
                    observer=observer,
                    ledger=ledger,
                    profile=cluster,
                    budget=budget,
                    deadline_seconds=planned.suite.deadline_seconds,
                    logs=logs,
                    scratch=scratch,
                )
                cases = [case for case in planned.cases if case.cluster == cluster]
                data = runner.prepare(sorted({case.dataset for case in cases}))
                executions = plan.executions(cases, data, budget, invocation.seed, invocation.rounds)
                runner.run([execution for execution in executions if execution.key not in done])
    finally:
        observer.close()
    records = store.records(invocation.id)
    return Finished(invocation.id, records, len(records) - len(before), logs)


def _check_same_origin(before: list[RunRecord], store: Store) -> None:
    """A run is of one host and one commit. Raises ConfigError when it was begun by another."""
    host = store.describe("host", environment.host())
    commit = environment.code_state().commit
    for record in before:
        if record.host != host:
            raise ConfigError("The run to resume was measured on another host: start a new run.")
        if record.code.commit != commit:
            raise ConfigError(
                f"The run to resume was measured by commit {record.code.commit}, not {commit}: start a new run."
            )


def _measured(records: list[RunRecord], only_ok: bool) -> set[Key]:
    """Executions that need not be repeated. Warm-ups do not count: a new worker needs its own."""
    return {
        (record.case.id, record.round, record.isolated)
        for record in records
        if not record.is_warmup and (record.outcome in ("ok", "unsupported") or not only_ok)
    }


@contextmanager
def _scratch() -> Iterator[Path]:
    for stale in Path(tempfile.gettempdir()).glob(f"{SCRATCH_PREFIX}*"):
        shutil.rmtree(stale, ignore_errors=True)  # of a run that was killed: this one holds the lock
    processes.sweep_limits()
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
