"""`sparkscale run`: measures the requested cases, as a new or a resumed run in the store."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.budget import budget
from cluster.endpoint import existing
from cluster.network import check as check_emulation
from cluster.profile import Emulated
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, count_executions, planned_cases, within_budgets
from sparkscale.measure.plan.filter import select_cases
from sparkscale.measure.run import origin
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.opened import Data, Key, OpenedRun, Plan, opened
from sparkscale.measure.run.preparation import prepare_all
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.measure.worker import cold_cache
from sparkscale.store.invocation import Command, Invocation
from sparkscale.store.store import Store
from workloads import registry
from workloads.registry import AnySource


@dataclass(frozen=True)
class Request:
    """The request of the user. A field is None if the user did not give this option."""

    suite: str
    out: Path
    filter: str | None = None
    seed: int | None = None
    """The seed for the order of executions. It replaces `sample_seed` and `model_seed` if they are None."""
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    """Profiles to measure on, instead of the suite's profiles."""
    resume: bool = False
    retry_failed: bool = False
    data: AnySource | None = None
    """The data set to measure on, instead of the suite's data sets."""
    command: Command = "run"
    environment: tuple[str, ...] = ()
    """Package releases that this process uses instead of the installed ones, such as "xgboost==3.1.1"."""
    invocation: str | None = None
    """The id of the run to resume, if `resume` is true; None: the last run of the suite."""
    cold_cache: bool = False
    """If true, the data's files are dropped from the page cache before each execution."""
    only: Callable[[PlannedCase], bool] = lambda _: True
    """A function that returns true for the cases to measure. Other cases are left for later calls."""
    only_round: int | None = None
    """The only round that this call measures; None: all rounds."""
    sample_seed: int | None = None
    model_seed: int | None = None
    fixed_seeds: bool = False
    """If true, all rounds have the same seeds of samples and models."""
    questions: tuple[str, ...] | None = None
    """The questions that `decide` answers. Other commands have none."""
    confidence: float | None = None
    """The confidence of the answers of `decide`. Other commands have none."""


@dataclass(frozen=True)
class Finished:
    """A finished run. `records` are all records of the run. The last `added` of them are new."""

    invocation: str
    records: list[RunRecord]
    added: int
    logs: Path


def measure(request: Request, observer: Callable[[], Observer], ledger: Ledger | None = None) -> Finished:
    """Measures the requested cases. `observer` is called once, after the request was checked.

    `ledger` adds up the wall time since the command began. Raises ConfigError if the request is wrong, and
    DatasetError if its data is wrong, before anything is written to `out`.
    """
    with open_run(request, observer, ledger) as run:
        done_keys = _measured(run.earlier, only_ok=request.retry_failed)
        for cluster, executions in run.executions.items():
            missing = [execution for execution in executions if execution.key not in done_keys]
            if request.only_round is not None:
                missing = [execution for execution in missing if execution.round == request.only_round]
            run.measure(cluster, missing)
        records = run.store.records(run.invocation.id)
        return Finished(run.invocation.id, records, len(records) - len(run.earlier), run.logs)


def _accept(invocation: Invocation, plan: Plan, data: Data) -> None:
    """Accepts every run."""


@contextmanager
def open_run(
    request: Request,
    observer: Callable[[], Observer],
    ledger: Ledger | None = None,
    check: Callable[[Invocation, Plan, Data], None] = _accept,
    keeps_worker: bool = False,
) -> Iterator[OpenedRun]:
    """Yields the requested run, stored and with its data prepared, while it holds the machine's lock.

    Arguments and errors are those of `measure`. `check` is called when the data is prepared. A new run for which it
    raises an error is not stored. The caller measures the executions of the run in one go or several. If
    `keeps_worker` is true, a go can use the worker of the go before it, for the same round.
    """
    ledger = ledger or Ledger()
    with ExitStack() as stack:
        if request.resume or request.retry_failed:
            stack.enter_context(machine_lock())
            store = stack.enter_context(Store.existing(request.out))
            invocation = _continued(request, _to_resume(request, store))
            planned = _planned(request, invocation)
            origin.check_same_request(invocation, store, planned.suite, planned.profiles)
            _check_clusters(planned)
            watching = stack.enter_context(closing(observer()))
            watching.note(_resume_text(invocation, store))
            data = _prepare(planned, invocation, watching, ledger)
            check(invocation, planned, data)
        else:
            invocation, planned = _new(request)
            stack.enter_context(machine_lock())
            watching = stack.enter_context(closing(observer()))
            data = _prepare(planned, invocation, watching, ledger)
            check(invocation, planned, data)
            store = stack.enter_context(Store.open(request.out))
            invocation = _stored(invocation, planned, store)
        yield stack.enter_context(
            opened(invocation, planned, data, store, watching, ledger, request.out, keeps_worker)
        )


def begin(request: Request) -> Invocation:
    """Stores a new run without measuring anything. The run can then be resumed by its id.

    Raises the same errors as `measure`.
    """
    invocation, planned = _new(request)
    with Store.open(request.out) as store:
        return _stored(invocation, planned, store)


def _stored(invocation: Invocation, planned: Plan, store: Store) -> Invocation:
    """Stores the invocation with its origin, goals and thresholds, and returns it."""
    begun = invocation.model_copy(
        update={
            "origin": origin.store_origin(store, planned.suite, planned.profiles),
            "goals": planned.suite.goal,
            "gate": planned.suite.gate,
        }
    )
    store.begin(begun)
    return begun


def _new(request: Request) -> tuple[Invocation, Plan]:
    """Returns a new run for the request, and its checked plan. Raises ConfigError or ClusterError."""
    invocation = Invocation(
        id=uuid.uuid4().hex[:12],
        suite=request.suite,
        started_at=datetime.now(UTC),
        seed=request.seed or 0,
        rounds=request.rounds or suite.load(request.suite).rounds,
        filter=request.filter,
        clusters=request.clusters,
        data=request.data.model_dump(mode="json") if request.data else None,
        command=request.command,
        environment=request.environment,
        seeds=Seeds(
            sample=request.seed or 0 if request.sample_seed is None else request.sample_seed,
            model=request.seed or 0 if request.model_seed is None else request.model_seed,
            fixed=request.fixed_seeds,
        ),
        cold_cache=request.cold_cache,
        questions=request.questions or (),
        confidence=request.confidence,
        executions=0,
    )
    planned = _planned(request, invocation)
    if invocation.cold_cache:
        for cluster in planned.profiles:
            cold_cache.check_profile(cluster)
    if request.command != "decide":  # it measures as few as it can
        invocation = invocation.model_copy(update={"executions": count_executions(planned.cases)})
    Store.check_writable(request.out)
    _check_clusters(planned)
    return invocation, planned


def _to_resume(request: Request, store: Store) -> Invocation:
    """Returns the run that the request names. If it names none, returns the suite's last run by this command."""
    if request.invocation is not None:
        return store.invocation(identity=request.invocation)
    return store.invocation(request.suite, command=request.command)


def _check_clusters(planned: Plan) -> None:
    """Raises ClusterError if an existing cluster does not answer, and ConfigError if its secrets are not set.

    Also raises ConfigError if emulated hosts cannot be made.
    """
    for cluster in {case.cluster for case in planned.cases if case.engine.placement == "spark"}:
        if isinstance(cluster, Emulated):
            check_emulation(cluster)
        if not cluster.starts_daemons:
            existing(cluster)


def _prepare(planned: Plan, invocation: Invocation, observer: Observer, ledger: Ledger) -> Data:
    """Prepares the data of all cases, on the storage of each profile.

    Raises ConfigError if the run needs a cold page cache and the kernel does not empty it.
    """
    with ledger.time("preparing"), scratch_folder() as scratch:
        data = {
            cluster: prepare_all(
                {
                    case.dataset: planned.suite.source(case.dataset)
                    for case in planned.cases
                    if case.cluster == cluster
                },
                cluster,
                granted,
                observer,
                scratch / cluster.name,
                invocation.drawn.samples(invocation.rounds),
            )
            for cluster, granted in planned.profiles.items()
        }
    if invocation.cold_cache:
        for prepared in data.values():
            cold_cache.check_data(prepared.values())
    return data


def _continued(request: Request, invocation: Invocation) -> Invocation:
    """Returns `invocation`, the run to resume.

    Raises ConfigError if the request sets an option to another value than this run has.
    """
    drawn = invocation.drawn
    for option, requested, stored in (
        *((name, getattr(request, name), getattr(invocation, name)) for name in ("seed", "rounds", "filter")),
        ("cluster", _listed(request.clusters), _listed(invocation.clusters)),
        ("question", _listed(request.questions), _listed(invocation.questions or None)),
        ("confidence", request.confidence, invocation.confidence),
        ("sample-seed", request.sample_seed, drawn.sample),
        ("model-seed", request.model_seed, drawn.model),
        ("fixed-seeds", request.fixed_seeds or None, drawn.fixed),
    ):
        if requested is not None and requested != stored:
            raise ConfigError(
                f"The run to resume has {option} {'(none)' if stored is None else stored}, not {requested}: leave "
                f"--{option} out, or start a new run."
            )
    if request.data is not None and request.data.model_dump(mode="json") != invocation.data:
        raise ConfigError("The run to resume measured another data set: leave --data out, or start a new run.")
    if request.cold_cache and not invocation.cold_cache:
        raise ConfigError(
            "The run to resume was begun without --cold-cache: leave --cold-cache out, or start a new run."
        )
    return invocation


def _listed(names: Sequence[str] | None) -> str | None:
    """Returns the names, separated by commas as in an option such as --cluster; None if none are given."""
    return None if names is None else ",".join(names)


def _resume_text(invocation: Invocation, store: Store) -> str:
    """Returns a note with the options of the resumed run, because they still apply."""
    done = sum(not record.is_warmup for record in store.records(invocation.id))
    data = invocation.data or {}
    options_begun_with = {
        "filter": invocation.filter,
        "cluster": ",".join(invocation.clusters or ()),
        "data": data.get("path", data.get("kind")),
    }
    options = " ".join(f"--{name} {value}" for name, value in options_begun_with.items() if value)
    return f"resuming run {invocation.id}{options and f', begun with {options}'}: {done} executions have a record"


def _planned(request: Request, invocation: Invocation) -> Plan:
    loaded = suite.load(request.suite)
    if invocation.data is not None:
        loaded = loaded.on(registry.source(invocation.data))
    cases = planned_cases(loaded, invocation.rounds, invocation.clusters)
    if invocation.filter is not None:
        cases = select_cases(cases, invocation.filter)
    cases = [case for case in cases if request.only(case)]
    profiles = {cluster: budget(cluster) for cluster in dict.fromkeys(case.cluster for case in cases)}
    return Plan(loaded, within_budgets(cases, profiles), profiles)


def _measured(records: list[RunRecord], only_ok: bool) -> set[Key]:
    """Returns the keys of the executions that need not be repeated.

    If `only_ok` is true, executions that did not end as `ok` or `unsupported` are repeated. Warm-ups are left out,
    because each new worker needs its own warm-ups.
    """
    return {
        (record.case.id, record.round, record.isolated)
        for record in records
        if not record.is_warmup and (record.outcome in ("ok", "unsupported") or not only_ok)
    }
