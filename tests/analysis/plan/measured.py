"""Stores with records of known times, memories and qualities, on clusters of several sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparkscale.analysis.questions.plan.basis import Basis, basis
from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord, SparkMetrics
from sparkscale.store.invocation import Command
from sparkscale.store.store import Store
from tests.builders import FRACTIONS, NOW, Writer, case, invocation

GIB = 2**30
ROWS = 64_000
PRICE = {"per_hour": 3.6, "currency": "EUR", "source": "a test", "date": "2026-11-28"}


def node_seconds(rows: float, cores: int) -> float:
    """Half a second, and 0.1 ms a row on one core, of which a tenth is not parallel."""
    return 0.5 + 1e-4 * rows * (0.1 + 0.9 / cores)


def spark_seconds(rows: float, cores: int) -> float:
    """Two seconds, and 0.2 ms a row on one core, all of it parallel."""
    return 2.0 + 2e-4 * rows / cores


@dataclass
class Measured:
    """What is measured: see `into`. `noise` of the scores shrinks with the rows. Without it, no scores are stored."""

    cores: Sequence[int] = (2,)
    fractions: Sequence[float] = tuple(FRACTIONS)
    rounds: int = 3
    engines: Sequence[str] = ("xgboost", "mllib")
    noise: Callable[[str, float], float] | None = None
    price: dict[str, Any] | None = None
    peak: Callable[[float], float] | None = None
    memory: int = 16 * GIB
    outcome: Callable[[str, float, int], str] = lambda _engine, _fraction, _cores: "ok"
    spark: SparkMetrics = field(default_factory=lambda: SparkMetrics(executors=1, executor_run_seconds=10.0))
    kind: str = "standalone"
    columns: int = 10
    dataset: str = "flights"
    definition: dict[str, Any] = field(default_factory=dict)
    command: Command = "run"
    master: str = ""
    """The address of an existing cluster."""
    shares_cores: bool = False
    """True if the cluster has more workers than cores."""
    warmup: float | None = None
    """The seconds of a warm-up before each round. None: there is none."""
    scale: int = 1
    """The number of times that the data set has the usual rows."""

    def into(self, store: Store, name: str = "c", day: int = 1) -> None:
        """Adds a run on each number of cores: clusters of executors of one core, with a node beside them."""
        for cores in self.cores:
            self._run(store, f"{name}{cores}", cores, day)

    def _run(self, store: Store, cluster: str, cores: int, day: int) -> None:
        shape = {"workers": cores, "cores": 1} if self.kind == "standalone" else {"cores": cores}
        address = {"master": self.master} if self.master else {}
        profile = {"name": cluster, "kind": self.kind, **shape, "price": self.price, **address}
        grant = {"cpus": list(range(cores)), "memory_bytes": self.memory, "heap_bytes": self.memory // 2, "gpus": []}
        budget = {
            "cores": cores,
            "node": grant,
            "driver": grant,
            "daemons": [{**grant, "cpus": [core]} for core in range(cores)] if self.kind == "standalone" else [],
            "executor_memory_bytes": self.memory,
            "executor_heap_bytes": self.memory // 2 if self.kind == "standalone" else None,
        }
        origin = {
            f"profile '{cluster}'": store.describe("profile", profile),
            f"budget on '{cluster}'": store.describe("budget", budget),
        }
        store.begin(invocation(cluster, day).model_copy(update={"origin": origin, "command": self.command}))
        content = {
            "name": self.dataset,
            "columns": [{"name": f"x{number}"} for number in range(self.columns)],
            "definition": self.definition,
        }
        data = store.describe("data", content)

        def change(record: RunRecord) -> dict[str, Any]:
            is_spark = record.case.placement == "spark"
            heap = {"heap_bytes": self.memory // 2} if is_spark else {}
            return {
                "id": f"{cluster}-{record.id}",
                "started_at": NOW.replace(day=day),
                "data": data,
                "spark": self.spark.model_copy(update={"executors": cores}) if is_spark else None,
                "resources": record.resources.model_copy(update={**heap, "oversubscribed": self.shares_cores}),
            }

        self._write(Writer(store, cluster, change), cluster, cores)

    def _write(self, write: Writer, cluster: str, cores: int) -> None:
        for number in range(1, self.rounds + 1):
            for engine in self.engines:
                if self.warmup is not None:
                    warmed = self._case(engine, min(self.fractions), number, cluster)
                    write(warmed, number, seconds=self.warmup, temperature="warmup", cores=cores)
                for fraction in self.fractions:
                    self._executions(write, engine, self._case(engine, fraction, number, cluster), number, cores)

    def _case(self, engine: str, fraction: float, seed: int, cluster: str) -> Case:
        made = case(engine, fraction, seed=seed)
        return made.model_copy(
            update={
                "cluster": cluster,
                "cluster_kind": self.kind,
                "rows": self.scale * int(ROWS * fraction) + seed,
                "dataset": self.dataset,
                "dataset_id": f"{self.dataset} {self.columns} {self.scale}",
            }
        )

    def _executions(self, write: Writer, engine: str, of: Case, number: int, cores: int) -> None:
        outcome: Any = self.outcome(engine, of.fraction, cores)
        true_seconds = (spark_seconds if engine == "mllib" else node_seconds)(of.rows * self.columns / 10, cores)
        write(
            of,
            number,
            seconds=true_seconds * (1 + 0.01 * ((number * 7 + cores) % 3 - 1)) if outcome == "ok" else None,
            outcome=outcome,
            noise=self.noise(engine, of.fraction) if self.noise and outcome == "ok" else None,
            cores=cores,
        )
        if self.peak and number == 1:
            peak = round(self.peak(of.rows))
            write(of, number, seconds=1.0, isolated=True, temperature="cold", peak=peak, cores=cores)


def measured(store: Store, **fields: Any) -> Basis:
    """The basis of a plan for gradient boosting, from these records."""
    Measured(**fields).into(store)
    return basis(store, "gradient_boosting")
