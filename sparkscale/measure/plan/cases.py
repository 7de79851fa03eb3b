"""Lists the cases of a suite: all combinations that its suite blocks name.

Cases are planned before their data is prepared. Afterwards, `PlannedCase.bind` adds the data and the seeds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cluster import state
from cluster.budget import Budget
from cluster.profile import ClusterProfile, External, SparkDaemons
from sparkscale.contract.case import Capacity, Case, Device, ParameterSet, parse_fraction, show_fraction
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count
from sparkscale.contract.seeds import Seeds
from sparkscale.measure.plan.suite import Suite, capacity_of, params_of
from sparkscale.measure.worker.startup import Session
from workloads import registry
from workloads.base import Engine, Params, Sample, SparkEngine, Workload

LEAST_SAMPLE = 30
"""The fewest training rows of a sample that is measured.

A smaller sample, such as 1/64 of a small table, may be empty or have only one class.
"""


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
    threads: int | None = None
    """The number of threads and CPUs of a node engine. None: all that the profile grants."""

    def key(self, name: str) -> str:
        """Returns the case's value for the filter key `name`, such as "xgboost" for the key `engine`."""
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
        """Returns the case as round `number` measures it, with the prepared data and the seeds of the round."""
        sample_seed, model_seed = (seeds.as_fixed() if self.workload.pattern.fixed_seeds else seeds).of(number)
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
        """Returns the properties of the case's worker. Cases with equal properties can share a worker."""
        return shared_worker(Session(self.engine.placement, self._threads(budget), self.device), self.cluster.kind)

    def _threads(self, budget: Budget) -> int:
        """Returns the number of threads of the case.

        A node engine has one thread per core of the node, unless the suite block limits its threads. A Spark engine
        has the threads of one Spark task.
        """
        if not issubclass(self.engine, SparkEngine):
            return self.threads or len(budget.node.cpus)
        executor_cores = self.cluster.cores if isinstance(self.cluster, SparkDaemons | External) else budget.cores
        return self.engine.task_threads(self.params, self.device, executor_cores)

    def unsupported(self, data: PreparedDataset, rows: int, budget: Budget, sample_seed: int = 0) -> str | None:
        """Returns the reason why the engine cannot run here on a sample with `rows` rows; None if it can."""
        return next(self._obstacles(data, rows, budget, sample_seed), None)

    def _obstacles(self, data: PreparedDataset, rows: int, budget: Budget, sample_seed: int) -> Iterator[str]:
        """Yields every reason why the engine cannot run here."""
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


def shared_worker(session: Session, cluster_kind: str) -> Session:
    """Returns the properties of a worker for this session. Executions with equal properties can share a worker.

    For Spark in local mode, the number of threads is set to 0, because one JVM can serve sessions with different
    numbers of threads.
    """
    shares_jvm = session.placement == "spark" and cluster_kind == "local"
    return replace(session, threads=0) if shares_jvm else session


def planned_cases(
    suite: Suite, rounds: int | None = None, clusters: tuple[str, ...] | None = None
) -> list[PlannedCase]:
    """Returns every case of the suite, ordered by profile and then by suite block.

    `rounds` replaces the suite's number of rounds. It also limits the rounds of each suite block. `clusters`
    replaces the suite's profiles. A profile that is named twice is measured once.
    """
    suite_rounds = rounds or suite.rounds
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
            rounds=min(block.rounds or suite_rounds, suite_rounds),
            isolate=block.isolate,
            threads=block.threads,
        )
        for cluster in state.profiles(clusters or suite.clusters)
        for block in suite.measure
        if not block.only_tables
        for workload in [registry.workloads()[block.workload]]
        for engine in workload.engines
        for dataset in block.datasets
        for device in block.devices
        if block.has(engine, device)
        for parameter_set in block.sets
        for params in params_of(workload, block)
        for fraction in block.fractions
    ]


def within_budgets(planned: Iterable[PlannedCase], budgets: Mapping[ClusterProfile, Budget]) -> list[PlannedCase]:
    """Returns the cases without useless limits on threads: a limit to as many threads as the node has CPUs.

    Otherwise the same case could be planned twice, with and without a limit. Raises ConfigError if a case asks for
    more threads than its profile grants to an engine on one node.
    """
    checked = []
    for case in planned:
        granted = len(budgets[case.cluster].node.cpus)
        if case.threads is not None and case.threads > granted:
            raise ConfigError(
                f"The suite gives {case.workload.name} {case.engine.name} {count(case.threads, 'thread')}, but "
                f"cluster '{case.cluster.name}' grants {count(granted, 'core')} to an engine on one node: lower "
                "`threads`, or choose a larger cluster."
            )
        checked.append(replace(case, threads=None) if case.threads == granted else case)
    return checked


def count_executions(planned: list[PlannedCase]) -> int:
    """Returns the number of executions of these cases, without warm-ups."""
    return sum(case.rounds for case in dict.fromkeys(planned))
