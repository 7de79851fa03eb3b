"""The context of a case: everything that a phase may use."""

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import EngineUnsupported
from sparkscale.contract.execution import execution_id
from sparkscale.contract.model import PreparedModel

log = logging.getLogger(__name__)


def no_gpu() -> AbstractContextManager[tuple[str, ...]]:
    """The default of `bind_gpu`. Raises EngineUnsupported, because no GPU was granted."""
    raise EngineUnsupported("There is no GPU to bind: the cluster profile grants none.")


@dataclass
class Context:
    """The context that every phase of one execution gets.

    `spark` is the Spark session (pyspark.sql.SparkSession); None for a node engine. `storage` is a location that
    every executor of the cluster can reach.
    """

    case: Case
    data: PreparedDataset
    cores: int
    slots: int
    """The number of Spark tasks, or of single-threaded processes of a node engine, that can run at once.

    On a GPU, this is at most the number of tasks or processes that get a share of a GPU.
    """
    storage: str
    spark: Any = None
    model: PreparedModel | None = None
    """The model that the case applies; None if its pattern applies no model."""
    gpus: int = 0
    """The number of GPUs that this process may use outside of Spark tasks."""
    executor_memory_bytes: int | None = None
    """The memory of one executor, for its JVM and Python workers together. None if it is unknown."""
    bind_gpu: Callable[[], AbstractContextManager[tuple[str, ...]]] = no_gpu
    """Code in a block `with run.bind_gpu() as addresses` sees only the GPUs of its Spark task.

    Outside of Spark tasks it sees the GPUs that the profile grants. The block must begin before the process uses
    CUDA. The function can be pickled.
    """
    execution: str = field(default_factory=execution_id)
    """The execution's id, for names of files. It keeps them apart if other machines write to the same folders."""
    made: list[PreparedDataset] = field(default_factory=list)
    """Data that was prepared only for this execution, before its phases, such as a validation part."""
    declared: frozenset[str] = frozenset()
    """The names of the figures that the workload declares."""
    figures: dict[str, float] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def figure(self, name: str, value: float) -> None:
        """Adds a figure to the record.

        Raises ValueError if the workload does not declare the figure, or if the number is not finite.
        """
        if name not in self.declared:
            raise ValueError(
                f"The figure {name} is not declared: add it to `figures` of {self.case.workload}, or of its pattern."
            )
        if not math.isfinite(value):
            raise ValueError(f"The figure {name} is {value}: a figure must be a finite number.")
        self.figures[name] = float(value)

    def table(self, name: str, arrow: Any) -> None:
        """Adds a pyarrow.Table to the record."""
        self.tables[name] = arrow

    def with_case(self, **changes: Any) -> "Context":
        """Returns the context of the same execution, with some fields of its case changed."""
        return replace(self, case=self.case.model_copy(update=changes))

    def enter(self, resource: AbstractContextManager[Any]) -> Any:
        """Opens a resource and returns it. It is closed when the case ends, even after an error."""
        return self.stack.enter_context(resource)

    def at_end(self, close: Callable[[], Any]) -> None:
        """Calls `close` when the case ends, even after an error. An error in `close` is only logged."""

        def closing() -> None:
            try:
                close()
            except Exception:
                log.exception("closing after %s failed", self.case.label)

        self.stack.callback(closing)

    @property
    def train_paths(self) -> list[str]:
        """The folders with the Parquet files of this case's training rows."""
        return self.data.train_paths(self.case.fraction, self.case.sample_seed)

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments with which the engine calls its library, by name."""
        return self.case.arguments
