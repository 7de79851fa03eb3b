"""`sparkscale run`: from what the user asked for to a finished, or resumed, run in the store."""

import uuid
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cluster.budget import Budget, budget
from cluster.endpoint import existing
from cluster.profile import ClusterProfile
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan import suite, targets
from sparkscale.measure.plan.cases import PlannedCase, count_executions, planned_cases
from sparkscale.measure.plan.filter import select_cases
from sparkscale.measure.plan.rounds import planned_executions
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.run import origin
from sparkscale.measure.run.clusters import ready_cluster
from sparkscale.measure.run.ledger import Ledger
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.preparation import prepare_all, prepare_models
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.records import Recorder
from sparkscale.measure.run.runner import Runner
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.measure.worker import cold_cache
from sparkscale.store.invocation import Command, Invocation
from sparkscale.store.store import Store
from workloads import registry
from workloads.registry import AnySource

Key = tuple[str, int, bool]

Data = dict[ClusterProfile, dict[str, PreparedDataset]]
"""Per profile, the data sets by the names that its cases use."""


@dataclass(frozen=True)
class Request:
    """What the user asked for. None: not said."""

    suite: str
    out: Path
    filter: str | None = None
    seed: int | None = None
    """Decides the order of executions, and is the first seed of samples and models where theirs are not said."""
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    """Profiles to visit instead of the suite's own."""
    resume: bool = False
    retry_failed: bool = False
    data: AnySource | None = None
    """Measured instead of the suite's own data sets."""
    command: Command = "run"
    environment: tuple[str, ...] = ()
    """Releases of packages that this process runs on instead of the installed ones, such as "xgboost==3.1.1"."""
    invocation: str | None = None
    """The run to go on with, with `resume`; None: the suite's last."""
    cold_cache: bool = False
    """Empty the page cache of the data's files before each execution."""
    only: Callable[[PlannedCase], bool] = lambda _: True
    """Which of the run's cases this call measures."""
    only_round: int | None = None
    """The one round that this call measures."""
    sample_seed: int | None = None
    model_seed: int | None = None
    fixed_seeds: bool = False
    """If true, all rounds have the same seeds of samples and models."""


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

    `ledger` has been counting the wall time since the command began. A fault in the request raises ConfigError, one
    in its data DatasetError, before anything is written to `out`.
    """
    ledger = ledger or Ledger()
    if request.resume or request.retry_failed:
        with machine_lock(), Store.existing(request.out) as store:
            invocation = _continued(request, _to_resume(request, store))
            planned = _planned(request, invocation)
            origin.check_same_request(invocation, store, planned.suite, planned.profiles)
            _check_clusters(planned)
            with closing(observer()) as watching:
                watching.note(_going_on(invocation, store))
                data = _prepare(planned, invocation, watching, ledger)
                return _measure(request, invocation, planned, data, store, watching, ledger)
    invocation, planned = _new(request)
    with machine_lock(), closing(observer()) as watching:
        data = _prepare(planned, invocation, watching, ledger)
        with Store.open(request.out) as store:
            invocation = _stored(invocation, planned, store)
            return _measure(request, invocation, planned, data, store, watching, ledger)


def begin(request: Request) -> Invocation:
    """A new run in the store, of which nothing is measured yet: to be resumed by its id. Raises as `measure` does."""
    invocation, planned = _new(request)
    with Store.open(request.out) as store:
        return _stored(invocation, planned, store)


def _stored(invocation: Invocation, planned: _Plan, store: Store) -> Invocation:
    """The invocation as it is stored: with what it was begun with."""
    begun = invocation.model_copy(
        update={"origin": origin.stored(store, planned.suite, planned.profiles), "goals": planned.suite.goal}
    )
    store.begin(begun)
    return begun


def _new(request: Request) -> tuple[Invocation, _Plan]:
    """A run that the request begins, checked against what there is."""
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
        executions=0,
    )
    planned = _planned(request, invocation)
    if invocation.cold_cache:
        for cluster in planned.profiles:
            cold_cache.check_profile(cluster)
    invocation = invocation.model_copy(update={"executions": count_executions(planned.cases)})
    Store.check_writable(request.out)
    _check_clusters(planned)
    return invocation, planned


def _to_resume(request: Request, store: Store) -> Invocation:
    """The run that the request names, else the command's last of the suite."""
    if request.invocation is not None:
        return store.invocation(identity=request.invocation)
    return store.invocation(request.suite, command=request.command)


def _check_clusters(planned: _Plan) -> None:
    """Raises ClusterError when an existing cluster does not answer, ConfigError when its secrets are not set."""
    for cluster in {case.cluster for case in planned.cases if case.engine.placement == "spark"}:
        if not cluster.starts_daemons:
            existing(cluster)


def _prepare(planned: _Plan, invocation: Invocation, observer: Observer, ledger: Ledger) -> Data:
    """Makes the data of all cases ready, on each profile's storage.

    Raises ConfigError where the run is to find a cold page cache and the kernel does not empty it.
    """
    with ledger.time("preparing"), scratch_folder() as scratch:
        found = {
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
        for prepared in found.values():
            cold_cache.check_data(prepared.values())
    return found


def _continued(request: Request, invocation: Invocation) -> Invocation:
    """The invocation to go on with. Raises ConfigError when the request contradicts it."""
    drawn = invocation.drawn
    kept = ("seed", "rounds", "filter", "clusters")
    for option, asked, stored in (
        *((name, getattr(request, name), getattr(invocation, name)) for name in kept),
        ("sample-seed", request.sample_seed, drawn.sample),
        ("model-seed", request.model_seed, drawn.model),
        ("fixed-seeds", request.fixed_seeds or None, drawn.fixed),
    ):
        if asked is not None and asked != stored:
            raise ConfigError(
                f"The run to resume has {option} {stored}, not {asked}: leave --{option} out, or start a new run."
            )
    if request.data is not None and request.data.model_dump(mode="json") != invocation.data:
        raise ConfigError("The run to resume measured another data set: leave --data out, or start a new run.")
    if request.cold_cache and not invocation.cold_cache:
        raise ConfigError(
            "The run to resume was begun without --cold-cache: leave --cold-cache out, or start a new run."
        )
    return invocation


def _going_on(invocation: Invocation, store: Store) -> str:
    """Says of what a run that is resumed was begun with, for that holds still."""
    done = sum(not record.is_warmup for record in store.records(invocation.id))
    data = invocation.data or {}
    begun = {
        "filter": invocation.filter,
        "cluster": ",".join(invocation.clusters or ()),
        "data": data.get("path", data.get("kind")),
    }
    options = " ".join(f"--{name} {value}" for name, value in begun.items() if value)
    return (
        f"going on with run {invocation.id}{options and f', begun with {options}'}: {done} executions have a record"
    )


def _planned(request: Request, invocation: Invocation) -> _Plan:
    loaded = suite.load(request.suite)
    if invocation.data is not None:
        loaded = loaded.on(registry.source(invocation.data))
    cases = planned_cases(loaded, invocation.rounds, invocation.clusters)
    if invocation.filter is not None:
        cases = select_cases(cases, invocation.filter)
    cases = [case for case in cases if request.only(case)]
    return _Plan(loaded, cases, {case.cluster: budget(case.cluster) for case in cases})


def _measure(
    request: Request,
    invocation: Invocation,
    planned: _Plan,
    data: Data,
    store: Store,
    observer: Observer,
    ledger: Ledger,
) -> Finished:
    before = store.records(invocation.id)
    origin.check_same_origin(before, store)
    done = _measured(before, only_ok=request.retry_failed)
    logs = request.out / "logs" / invocation.id
    logs.mkdir(parents=True, exist_ok=True)
    losses = targets.known(planned.suite, store, invocation.started_at)
    for cluster, granted in planned.profiles.items():
        cases = [case for case in planned.cases if case.cluster == cluster]
        cases = targets.given(cases, data[cluster], granted, invocation.drawn, losses)
        executions = planned_executions(cases, data[cluster], granted, invocation.drawn, invocation.rounds)
        executions = [execution for execution in executions if execution.key not in done]
        if request.only_round is not None:
            executions = [execution for execution in executions if execution.round == request.only_round]
        with scratch_folder() as scratch, ExitStack() as stack:
            running = None
            if any(one.case.placement == "spark" and one.unsupported is None for one in executions):
                with ledger.time("starting"):
                    running = stack.enter_context(ready_cluster(cluster, granted, scratch, logs, observer))
                origin.check_same_java(before, store, running)
            with ledger.time("preparing"):
                models = prepare_models(executions, data[cluster], cluster, granted, observer, scratch, running)
            runner = Runner(
                recorder=Recorder(
                    store, invocation, planned.suite.name, granted, list(data[cluster].values()), models
                ),
                observer=observer,
                ledger=ledger,
                profile=cluster,
                budget=granted,
                cluster=running,
                deadline_seconds=planned.suite.deadline_seconds,
                logs=logs,
                scratch=scratch,
                data=data[cluster],
                models=models,
            )
            runner.run(executions)
    records = store.records(invocation.id)
    return Finished(invocation.id, records, len(records) - len(before), logs)


def _measured(records: list[RunRecord], only_ok: bool) -> set[Key]:
    """Executions that need not be repeated. Warm-ups do not count: a new worker needs its own."""
    return {
        (record.case.id, record.round, record.isolated)
        for record in records
        if not record.is_warmup and (record.outcome in ("ok", "unsupported") or not only_ok)
    }
