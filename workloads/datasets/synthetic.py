"""Synthetic data of any size: blocks of 65,536 rows, each drawn anywhere from (seed, block), written in parts.

Rows of a block are drawn in the order in which they are stored, slice by slice: a row's id decides its slice, and its
place in that order its values. So nothing is shuffled or copied between drawing and writing.
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
    part_starts,
    placed,
    random_units,
    write_part,
)
from workloads.io.filesystem import check_space
from workloads.libraries.tasks import Progress, Tasks, peak_bytes

MOST_FEATURES = 1000
MOST_ROWS = 10**12

Evidence = dict[str, Array]
"""What a part knows of the truth on its held-out rows; parts' evidence is added up."""


class Synthetic(Source):
    """Rows are independent unless a subclass says otherwise; a fifth, chosen by hash, is the hold-out."""

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
        """The values of rows with these ids, in this order: features, label, truth, and what else the shape has."""

    @property
    def witnesses(self) -> tuple[str, ...]:
        """Columns that `evidence` needs."""
        return LABEL, TRUTH

    @abstractmethod
    def evidence(self, held_out: dict[str, Array]) -> Evidence:
        """What held-out rows say of how good the truth is; sums over rows."""

    @abstractmethod
    def ceiling(self, evidence: Evidence) -> dict[str, float]:
        """The truth's own quality on the hold-out."""

    @property
    def shape(self) -> Shape:
        return Shape(self.task, self.columns(), has_truth=True, compression="none")

    def held_out(self, row: Array) -> Array:
        """A mask over row ids."""
        return held_out_at_random(row, self.rows)

    def units(self, row: Array) -> Array:
        return random_units(row)

    def groupings(self, root: str) -> tuple[Grouping, ...]:  # noqa: ARG002
        """Writes the keys of the groups, where there are any."""
        return ()

    @property
    def layout(self) -> tuple[HoldoutRule, str]:
        """The hold-out's rule and what its units are called."""
        return "random", "bundle of rows"

    def check(self, storage: str) -> None:
        self.columns()
        check_space(storage, float(self.rows) * self.shape.row_bytes, f"{self.title}: {self.rows:,} rows")

    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:
        starts = part_starts(self.rows, self.shape.row_bytes)
        jobs = [(self, root, part, start) for part, start in enumerate(starts)]
        done: list[tuple[PartReport, Evidence, int]] = tasks.map(_write, jobs, progress)
        evidence = {
            name: np.array([math.fsum(column) for column in np.stack([e[name] for _, e, _ in done]).T])
            for name in done[0][1]
        }
        rule, unit_name = self.layout
        return Layout(
            shape=self.shape,
            parts=[report for report, _, _ in done],
            holdout=rule,
            unit_name=unit_name,
            groupings=self.groupings(root),
            ceiling=self.ceiling(evidence),
            peak_bytes=max(peak for _, _, peak in done),
        )

    def block(self, number: int) -> tuple[dict[str, Array], Array]:
        """One block's arrays, and where each place begins in them."""
        row = np.arange(number * BLOCK_ROWS, min(self.rows, (number + 1) * BLOCK_ROWS))
        order, starts = placed(row, self.held_out(row))
        row = row[order]
        return {ROW: row, UNIT: self.units(row), **self.draw(number, row)}, starts


def _write(job: tuple[Synthetic, str, int, int]) -> tuple[PartReport, Evidence, int]:
    """What a task does: draws and writes one part."""
    source, root, part, start = job
    rows = part_starts(source.rows, source.shape.row_bytes)
    stop = rows[part + 1] if part + 1 < len(rows) else source.rows
    drawn = [source.block(number) for number in range(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS))]
    blocks, starts = [arrays for arrays, _ in drawn], [starts for _, starts in drawn]
    report = write_part(root, part, source.shape, blocks, starts)
    held_out = {
        name: np.concatenate([arrays[name][begin[-2] :] for arrays, begin in drawn]) for name in source.witnesses
    }
    return report, source.evidence(held_out), peak_bytes()


def unknown_share(total: int, **parts: int) -> int:
    """What is left of `total` for noise. Raises ConfigError when the parts are more."""
    left = total - sum(parts.values())
    if left < 0:
        asked = ", ".join(f"{name} {count}" for name, count in parts.items())
        raise ConfigError(f"{asked} are more than the {total} features: raise `features`, or lower them.")
    return left
