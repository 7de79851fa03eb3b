"""Synthetic data of any size, in blocks of 65,536 rows. Any machine can make a block from its number and the seed.

Rows of a block are drawn in the order in which they are stored: slice by slice. (Training rows are divided into 64
slices.) The slice of a row depends on its id, and its values depend on its position in that order. So rows are not
shuffled or copied between drawing and writing.
"""

import math
from abc import abstractmethod
from typing import Any

import numpy as np
from pydantic import Field, field_validator

from sparkscale.contract.case import Task
from sparkscale.contract.dataset import LABEL, ROW, TRUTH, UNIT, Column, Grouping, HoldoutRule
from sparkscale.contract.errors import ConfigError
from workloads.datasets.amounts import parse_rows, show_rows
from workloads.datasets.source import Layout, Source
from workloads.datasets.training_slices import (
    BLOCK_ROWS,
    Array,
    PartReport,
    Shape,
    held_out_at_random,
    order_by_place,
    part_starts,
    random_units,
    write_part,
)
from workloads.io.filesystem import check_space
from workloads.libraries.tasks import Progress, Tasks, peak_bytes

MOST_FEATURES = 1000
MOST_ROWS = 10**12

Evidence = dict[str, Array]
"""Sums over hold-out rows, by name. The sums of all parts are added, and the ceiling is computed from the total."""


class Synthetic(Source):
    """A synthetic data set with independent rows. A hash chooses a fifth of them (at most a million) to hold out.

    Subclasses may have dependent rows or another hold-out.
    """

    rows: int = Field(default=1_000_000, ge=1000, le=MOST_ROWS)
    features: int = Field(default=50, ge=2, le=MOST_FEATURES)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @field_validator("rows", mode="before")
    @classmethod
    def _rows_as_written(cls, value: Any) -> Any:
        return parse_rows(value)

    @property
    @abstractmethod
    def kind_name(self) -> str: ...

    @property
    def default_name(self) -> str:
        return f"{self.kind_name}-{show_rows(self.rows)}"

    @property
    def stated_rows(self) -> int:
        return self.rows

    @property
    @abstractmethod
    def task(self) -> Task: ...

    @abstractmethod
    def columns(self) -> tuple[Column, ...]: ...

    @abstractmethod
    def draw(self, block: int, row: Array) -> dict[str, Array]:
        """Returns the values of these rows by column name.

        There is one array for each column of the files (see `shape`), without ROW and UNIT. `row` holds row ids in
        block number `block`. The values are in the same order.
        """

    @property
    def evidence_columns(self) -> tuple[str, ...]:
        """Returns the names of the columns that `evidence` needs."""
        return LABEL, TRUTH

    @abstractmethod
    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        """Returns sums over the hold-out rows of one part of the data, from which `ceiling` is computed."""

    @abstractmethod
    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        """Returns the ceiling of each quality on the hold-out, by the quality's name.

        `evidence` holds the sums that the method `evidence` returned, added over all parts of the data.
        """

    @property
    def shape(self) -> Shape:
        return Shape(self.task, self.columns(), has_truth=True, compression="none")

    def held_out(self, row: Array) -> Array:
        """Returns a mask over row ids that is true for rows of the hold-out."""
        return held_out_at_random(row, self.rows)

    def units(self, row: Array) -> Array:
        """Returns the unit of each row id, int32."""
        return random_units(row)

    def groupings(self, root: str) -> tuple[Grouping, ...]:  # noqa: ARG002
        """Writes the groups' keys below `root`, and returns the groupings; empty if the rows have no groups."""
        return ()

    @property
    def layout(self) -> tuple[HoldoutRule, str]:
        """Returns the rule of the hold-out and the name of its units."""
        return "random", "bundle of rows"

    def check(self, storage: str) -> None:
        self.columns()
        check_space(storage, float(self.rows) * self.shape.row_bytes, f"{self.title}: {self.rows:,} rows")

    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:
        starts = part_starts(self.rows, self.shape.row_bytes)
        jobs = [(self, root, part, start) for part, start in enumerate(starts)]
        results: list[tuple[PartReport, Evidence, int]] = tasks.map(_write, jobs, progress)
        evidence = {
            name: np.array([math.fsum(column) for column in np.stack([e[name] for _, e, _ in results]).T])
            for name in results[0][1]
        }
        rule, unit_name = self.layout
        return Layout(
            shape=self.shape,
            parts=[report for report, _, _ in results],
            holdout=rule,
            unit_name=unit_name,
            groupings=self.groupings(root),
            ceiling=self.ceiling(evidence),
            peak_bytes=max(peak for _, _, peak in results),
        )

    def block(self, number: int) -> tuple[dict[str, Array], Array]:
        """Returns the arrays of one block, and the index at which each slice (and the hold-out) begins."""
        row = np.arange(number * BLOCK_ROWS, min(self.rows, (number + 1) * BLOCK_ROWS))
        order, starts = order_by_place(row, self.held_out(row))
        row = row[order]
        return {ROW: row, UNIT: self.units(row), **self.draw(number, row)}, starts


def _write(job: tuple[Synthetic, str, int, int]) -> tuple[PartReport, Evidence, int]:
    """Draws and writes one part. This runs as a task."""
    source, root, part, start = job
    rows = part_starts(source.rows, source.shape.row_bytes)
    stop = rows[part + 1] if part + 1 < len(rows) else source.rows
    drawn = [source.block(number) for number in range(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS))]
    blocks, starts = [arrays for arrays, _ in drawn], [starts for _, starts in drawn]
    report = write_part(root, part, source.shape, blocks, starts)
    held_out = {
        name: np.concatenate([arrays[name][begin[-2] :] for arrays, begin in drawn])
        for name in source.evidence_columns
    }
    return report, source.evidence(held_out), peak_bytes()


def noise_features(total: int, **others: int) -> int:
    """Returns `total` minus the numbers of all other features. These features are noise.

    Raises ConfigError if the other features are more than `total`.
    """
    left = total - sum(others.values())
    if left < 0:
        counts = ", ".join(f"{name} {count}" for name, count in others.items())
        raise ConfigError(f"{counts} are more than the {total} features: raise `features`, or lower them.")
    return left
