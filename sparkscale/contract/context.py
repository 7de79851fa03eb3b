"""The context of a case: all that a phase may touch."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

from sparkscale.contract.case import Case
from sparkscale.contract.dataset import PreparedDataset


@dataclass
class Context:
    """Handed to every phase of one execution.

    `spark` is the session (pyspark.sql.SparkSession), None for a node engine.
    `storage` is a location that every executor of the cluster can reach.
    """

    case: Case
    data: PreparedDataset
    cores: int
    storage: str
    spark: Any = None
    figures: dict[str, float] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)

    def figure(self, name: str, value: float) -> None:
        """Adds a number to the record."""
        self.figures[name] = float(value)

    def table(self, name: str, arrow: Any) -> None:
        """Adds a pyarrow.Table to the record."""
        self.tables[name] = arrow

    def enter(self, resource: AbstractContextManager[Any]) -> Any:
        """Opens what must be closed when the case ends, however it ends."""
        return self.stack.enter_context(resource)

    def at_end(self, close: Callable[[], Any]) -> None:
        """Calls `close` when the case ends, however it ends."""
        self.stack.callback(close)

    @property
    def train_paths(self) -> list[str]:
        """Folders of Parquet files that hold this case's training rows."""
        return self.data.train_paths(self.case.fraction, self.case.sample_seed)

    @property
    def arguments(self) -> dict[str, Any]:
        """The case's parameters in the library's own words."""
        return self.case.arguments
