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

    `spark` is the session (pyspark.sql.SparkSession); None for a node engine. `storage` is a location that every
    executor of the cluster can reach.
    """

    case: Case
    data: PreparedDataset
    cores: int
    slots: int
    """How many Spark tasks, or single-threaded processes of a node engine, can run at once.

    On a GPU it is at most the number that get a share of one.
    """
    storage: str
    spark: Any = None
    model: PreparedModel | None = None
    """The model that the case applies; None if its pattern applies no model."""
    gpus: int = 0
    """How many GPUs this process may use, outside Spark's tasks."""
    executor_memory_bytes: int | None = None
    """The memory of one executor, for its JVM and Python workers together. None if it is unknown."""
    bind_gpu: Callable[[], AbstractContextManager[tuple[str, ...]]] = no_gpu
    """`with run.bind_gpu() as addresses`: the code within sees only the GPUs of its Spark task, or of its node.

    It must begin before the process uses CUDA. It can be pickled.
    """
    execution: str = field(default_factory=execution_id)
    """The id in the names of this execution's files. Other machines may write to the same folders."""
    made: list[PreparedDataset] = field(default_factory=list)
    """Data that was prepared only for this execution, before its phases, such as a validation part."""
    declared: frozenset[str] = frozenset()
    """Names of the figures that its workload declares."""
    figures: dict[str, float] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def figure(self, name: str, value: float) -> None:
        """Adds a number to the record.

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
        """The case's parameters as the library names them."""
        return self.case.arguments
