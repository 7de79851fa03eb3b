"""The context of a case: all that a phase may touch."""

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
    """Where no GPU was granted."""
    raise EngineUnsupported("There is no GPU to bind: the cluster profile grants none.")


@dataclass
class Context:
    """Handed to every phase of one execution.

    `spark` is the session (pyspark.sql.SparkSession), None for a node engine.
    `storage` is a location that every executor of the cluster can reach.
    """

    case: Case
    data: PreparedDataset
    cores: int
    slots: int
    """How many tasks of Spark, or single-threaded processes of a node engine, can run at once; on a GPU no more than
    have a share of one."""
    storage: str
    spark: Any = None
    model: PreparedModel | None = None
    """What the case is to apply, where its pattern applies one."""
    gpus: int = 0
    """How many GPUs this process may use, outside Spark's tasks."""
    executor_memory_bytes: int | None = None
    """What one executor may use, its JVM and Python workers together; None where nobody says."""
    bind_gpu: Callable[[], AbstractContextManager[tuple[str, ...]]] = no_gpu
    """`with run.bind_gpu() as addresses`: the block sees the GPUs of its task, or of its node, and no other. It must
    begin before the process uses CUDA. Picklable."""
    execution: str = field(default_factory=execution_id)
    """Names the files of this execution where other machines write, too."""
    made: list[PreparedDataset] = field(default_factory=list)
    """Data that was made for this execution alone, before its phases, such as a validation part."""
    declared: frozenset[str] = frozenset()
    """Names of the figures that its workload declares."""
    figures: dict[str, float] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def figure(self, name: str, value: float) -> None:
        """Adds a number to the record. Raises ValueError for one that the workload does not declare, or that is not
        finite.
        """
        if name not in self.declared:
            raise ValueError(
                f"The figure {name} is not declared: add it to `figures` of {self.case.workload}, or of its pattern."
            )
        if not math.isfinite(value):
            raise ValueError(f"The figure {name} is {value}.")
        self.figures[name] = float(value)

    def table(self, name: str, arrow: Any) -> None:
        """Adds a pyarrow.Table to the record."""
        self.tables[name] = arrow

    def with_case(self, **changes: Any) -> "Context":
        """The same execution, with fields of its case changed."""
        return replace(self, case=self.case.model_copy(update=changes))

    def enter(self, resource: AbstractContextManager[Any]) -> Any:
        """Opens what must be closed when the case ends, however it ends."""
        return self.stack.enter_context(resource)

    def at_end(self, close: Callable[[], Any]) -> None:
        """Calls `close` when the case ends, however it ends. A fault in it is logged and hides no other."""

        def closing() -> None:
            try:
                close()
            except Exception:
                log.exception("closing after %s failed", self.case.label)

        self.stack.callback(closing)

    @property
    def train_paths(self) -> list[str]:
        """Folders of Parquet files that hold this case's training rows."""
        return self.data.train_paths(self.case.fraction, self.case.sample_seed)

    @property
    def arguments(self) -> dict[str, Any]:
        """The case's parameters in the library's own words."""
        return self.case.arguments
