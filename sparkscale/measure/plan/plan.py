"""From a suite to what will be executed: cases, filtered, then one execution per round in random order."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from cluster import state
from cluster.budget import Budget
from cluster.profile import ClusterProfile, External, Standalone
from sparkscale.contract.case import Capacity, Case, Device, ParameterSet, parse_fraction, show_fraction
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan.suite import Suite, capacity_of, params_of
from sparkscale.measure.worker.opening import Session
from workloads import registry
from workloads.base import Engine, Params, Sample, SparkEngine, Workload

FILTER_KEYS = ("workload", "engine", "placement", "cluster", "device", "dataset", "fraction", "set")


FRACTIONS = tuple(2.0**-j for j in range(6, -1, -1))
"""Every sample that a case can have, the smallest first."""

LEAST_SAMPLE = 30
"""Training rows below which a sample is not tried: of a small table 1/64 may be empty, or hold one class."""


@dataclass(frozen=True)
class PlannedCase:
    """A case of a suite before its data is prepared."""

    workload: Workload
    engine: type[Engine]
    cluster: ClusterProfile
    device: Device
    dataset: str
    fraction: float
    parameter_set: ParameterSet
    params: Params
    capacity: Capacity | None
    rounds: int
    isolate: bool

    def key(self, name: str) -> str:
        """The text that a filter's key is matched with."""
        return {
            "workload": self.workload.name,
            "engine": self.engine.name,
            "placement": self.engine.placement,
            "cluster": self.cluster.name,
            "device": self.device,
            "dataset": self.dataset,
            "fraction": show_fraction(self.fraction),
            "set": self.parameter_set,
        }[name]

    def bind(self, data: PreparedDataset, budget: Budget, seeds: Seeds, number: int) -> Case:
        """The case of a round, now that the data is known."""
        sample_seed, model_seed = (seeds.kept() if self.workload.pattern.fixed_seeds else seeds).of(number)
        rows = self.workload.pattern.rows(data, self.params, self.fraction, sample_seed)
        return Case(
            workload=self.workload.name,
            version=self.workload.version,
            pattern=self.workload.pattern.name,
            task=data.task,
            engine=self.engine.name,
            placement=self.engine.placement,
            cluster=self.cluster.name,
            cluster_kind=self.cluster.kind,
            device=self.device,
            dataset=data.name,
            dataset_id=data.dataset_id,
            rows=rows,
            fraction=self.fraction,
            sample_seed=sample_seed,
            model_seed=model_seed,
            threads=self._threads(budget),
            params=self.engine().case_params(
                self.parameter_set,
                self.params,
                Sample.of(data, rows, self.fraction, sample_seed),
                self.capacity,
            ),
        )

    def worker(self, budget: Budget) -> Session:
        """What cases must share to share a worker."""
        return _worker(Session(self.engine.placement, self._threads(budget), self.device), self.cluster.kind)

    def _threads(self, budget: Budget) -> int:
        """All cores of a node's process; what the engine asks for of each of Spark's tasks."""
        if not issubclass(self.engine, SparkEngine):
            return len(budget.node.cpus)
        executor_cores = self.cluster.cores if isinstance(self.cluster, Standalone | External) else budget.cores
        return self.engine.task_threads(self.params, self.device, executor_cores)

    def unsupported(self, data: PreparedDataset, rows: int, budget: Budget, sample_seed: int = 0) -> str | None:
        """Why the engine cannot run here, on a sample of so many rows; None when it can."""
        return next(self._obstacles(data, rows, budget, sample_seed), None)

    def _obstacles(self, data: PreparedDataset, rows: int, budget: Budget, sample_seed: int) -> Iterator[str]:
        engine, cores = self.engine, budget.cores_of(self.engine.placement)
        if reason := engine.unsupported(self.cluster.kind, self.cluster.capabilities, self.device):
            yield reason
        if self.device == "gpu" and not budget.gpus_of(engine.placement):
            yield f"no GPU: {budget.no_gpu}"
        if missing := engine.missing():
            yield missing
        if reason := engine.obstacle(data, self.params, self.fraction, sample_seed):
            yield reason
        if engine.placement == "spark" and rows < cores:
            yield f"the sample has {rows} rows for {cores} cores: some would train on none"
        if rows < LEAST_SAMPLE:
            yield f"the sample has {rows} rows, too few to train on: measure a larger fraction"


@dataclass(frozen=True)
class Execution:
    """One case, once: in one round; isolated when nothing may have run in its worker before."""

    case: Case
    round: int
    isolated: bool
    warmups: tuple[Case, ...]
    """Warm-ups to try in this order until one succeeds, the smallest sample first."""
    unsupported: str | None

    @property
    def key(self) -> tuple[str, int, bool]:
        return self.case.id, self.round, self.isolated

    @property
    def warmup_key(self) -> str:
        """Executions with the same key share a warm-up: their cases differ in their sample only."""
        return self.warmups[0].id

    @property
    def session(self) -> Session:
        return Session(self.case.placement, self.case.threads, self.case.device)

    @property
    def worker(self) -> Session:
        """What executions must share to share a worker."""
        return _worker(self.session, self.case.cluster_kind)


def _worker(session: Session, cluster_kind: str) -> Session:
    """In local mode the JVM of one session serves the next, whose tasks may have other threads."""
    shares = session.placement == "spark" and cluster_kind == "local"
    return replace(session, threads=0) if shares else session


def cases(suite: Suite, rounds: int | None = None, clusters: tuple[str, ...] | None = None) -> list[PlannedCase]:
    """Every case of the suite, profile after profile, blocks in their order.

    `rounds` replaces the suite's, and caps a block's own; `clusters` replaces the suite's profiles. Each is visited
    once, however often it is named.
    """
    overall = rounds or suite.rounds
    return [
        PlannedCase(
            workload=workload,
            engine=engine,
            cluster=cluster,
            device=device,
            dataset=dataset,
            fraction=parse_fraction(fraction),
            parameter_set=parameter_set,
            params=params,
            capacity=capacity_of(workload, block),
            rounds=min(block.rounds or overall, overall),
            isolate=block.isolate,
        )
        for cluster in state.profiles(clusters or suite.clusters)
        for block in suite.measure
        if not block.only_tables
        for workload in [registry.workloads()[block.workload]]
        for engine in workload.engines
        for dataset in block.datasets
        for device in block.devices
        if engine.name in block.engines or ("*" in block.engines and device in engine.devices)
        for parameter_set in block.sets
        for params in params_of(workload, block)
        for fraction in block.fractions
    ]


def count(planned: list[PlannedCase]) -> int:
    """How many executions these cases are, warm-ups not counted."""
    return sum(case.rounds for case in dict.fromkeys(planned))


def select(planned: list[PlannedCase], expression: str) -> list[PlannedCase]:
    """Those that match a filter such as "engine=xgboost*,fraction=1/4".

    Different keys must all match; of one key's several values, any. Raises ConfigError for an unknown key, a
    value that names nothing, and a filter that matches nothing.
    """
    wanted: dict[str, list[str]] = {}
    for part in expression.split(","):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not value:
            raise ConfigError(f"The filter '{part}' is not KEY=VALUE, such as engine=xgboost* or fraction=1/4.")
        if key not in FILTER_KEYS:
            raise ConfigError(f"Unknown filter key '{key}': choose from {', '.join(FILTER_KEYS)}.")
        known = sorted({case.key(key) for case in planned})
        if not any(_matches(choice, value) for choice in known):
            raise ConfigError(f"The filter {key}={value} matches nothing: this suite has {', '.join(known)}.")
        wanted.setdefault(key, []).append(value)
    chosen = [
        case
        for case in planned
        if all(any(_matches(case.key(key), value) for value in values) for key, values in wanted.items())
    ]
    if not chosen:
        raise ConfigError(f"The filter '{expression}' matches none of the suite's {len(planned)} cases.")
    return chosen


def _matches(name: str, pattern: str) -> bool:
    """A workload may be written without its pattern: gradient_boosting."""
    return fnmatchcase(name, pattern) or ("." in name and fnmatchcase(name.split(".", 1)[1], pattern))


def executions(
    planned: list[PlannedCase],
    data: dict[str, PreparedDataset],
    budget: Budget,
    seeds: Seeds,
    rounds: int,
) -> list[Execution]:
    """All executions on one profile, each case once in each of its rounds with that round's seeds; equal ones once.

    Isolated cases that have fewer rounds than the run are spread over its rounds, those of each kind of worker apart:
    the first of a round begins a worker that others share, any further one needs a worker of its own.
    """
    isolated: Counter[Session] = Counter()
    bound = {
        number: [case.bind(data[case.dataset], budget, seeds, number) for case in planned]
        for number in range(1, max([rounds, *(case.rounds for case in planned)]) + 1)
    }
    found: dict[tuple[str, int, bool], Execution] = {}
    for position, planned_case in enumerate(planned):
        its_data = data[planned_case.dataset]
        worker = planned_case.worker(budget)
        isolated[worker] += planned_case.isolate
        for turn in range(1, planned_case.rounds + 1):
            number = (turn - 1 + isolated[worker]) % rounds + 1 if planned_case.isolate else turn
            case = bound[number][position]
            reason = planned_case.unsupported(its_data, case.rows, budget, case.sample_seed)
            warmups = _warmups(planned_case, its_data, budget, seeds, number) if reason is None else ()
            execution = Execution(case, number, planned_case.isolate, warmups, reason)
            found.setdefault(execution.key, execution)
    return list(found.values())


def _warmups(
    planned: PlannedCase, data: PreparedDataset, budget: Budget, seeds: Seeds, number: int
) -> tuple[Case, ...]:
    """The case's engine and parameters on every sample that it can run on, the smallest first.

    A filter, or a suite, changes nothing about it. The pattern's `warmup` replaces parameters. An engine that is
    given a model has one sample only, for each further one would need reference predictions of its own.
    """
    pattern = planned.workload.pattern
    possible = []
    for fraction in FRACTIONS:
        sample = replace(planned, fraction=fraction)
        case = sample.bind(data, budget, seeds, number)
        if sample.unsupported(data, case.rows, budget, case.sample_seed) is None:
            possible.append(case.model_copy(update={"params": {**case.params, **pattern.warmup}}))
    files = pattern.warms_each_slot and possible
    least = data.fraction_of_files(budget.cores, possible[0].sample_seed) if files else 0.0
    found = [case for case in possible if case.fraction >= least] or possible
    return tuple(found[:1] if planned.engine.model_placement else found)


def groups(planned: list[Execution], seed: int) -> Iterator[list[Execution]]:
    """Executions that share a worker, round after round; groups, and executions in them, in random order.

    Those of one session follow each other, and sessions take turns in being the first of a round. An isolated
    execution needs a worker in which nothing ran before. The start of a shared worker is such a place, so the first
    of a round goes there, where it saves a worker. The others get their own workers.
    """
    order = random.Random(seed)
    sessions = list(dict.fromkeys(execution.session for execution in planned))
    order.shuffle(sessions)
    for number in sorted({execution.round for execution in planned}):
        shared: dict[Session, list[Execution]] = defaultdict(list)
        alone: dict[Session, list[Execution]] = defaultdict(list)
        for execution in planned:
            if execution.round == number:
                (alone if execution.isolated else shared)[execution.worker].append(execution)
        for waiting in (*shared.values(), *alone.values()):
            order.shuffle(waiting)
        for waiting in shared.values():
            _in_turn(waiting, sessions if number % 2 else sessions[::-1])
        workers = [[*(alone[worker].pop() for _ in alone[worker][:1]), *group] for worker, group in shared.items()]
        workers += [[execution] for waiting in alone.values() for execution in waiting]
        order.shuffle(workers)
        yield from workers


def _in_turn(waiting: list[Execution], sessions: list[Session]) -> None:
    """In place: the executions of each session together, in the order of the sessions."""
    waiting.sort(key=lambda execution: sessions.index(execution.session))
