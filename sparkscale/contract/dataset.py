"""A prepared data set: where its rows lie, what its columns are, which slices a sample is."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import SLICES, Task, fraction_slices

ROW, UNIT, LABEL = "row", "unit", "label"
"""Columns of every data set: the row's id, the hold-out unit it belongs to (a day), the label."""


class Column(BaseModel):
    """One feature.

    A numeric column holds numbers without nulls. A categorical one holds label-free ordinal codes
    0 … len(vocabulary) - 1 into a vocabulary fixed when the data set was made.
    `mean` and `std` are those of the full training rows, so that every engine scales alike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["numeric", "categorical"]
    vocabulary: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0


class PreparedDataset(BaseModel):
    """What a manifest says of a data set that lies ready at `root`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    dataset_id: str
    content_hash: str
    root: Path
    task: Task
    columns: tuple[Column, ...]
    slice_rows: tuple[int, ...]
    holdout_rows: int

    def slices(self, fraction: float, sample_seed: int) -> list[int]:
        """The slices of a sample: the first 64·fraction of an order that the seed alone decides.

        Nested: a smaller fraction of the same seed is a prefix of a larger one.
        """
        order = sorted(range(SLICES), key=lambda s: hashlib.sha256(f"{sample_seed}:{s}".encode()).digest())
        return order[: int(fraction_slices(fraction))]

    def train_paths(self, fraction: float, sample_seed: int) -> list[str]:
        """Folders of Parquet files, one per slice of the sample."""
        return [str(self.root / slice_folder(s)) for s in sorted(self.slices(fraction, sample_seed))]

    def rows(self, fraction: float, sample_seed: int) -> int:
        """Training rows in the sample."""
        return sum(self.slice_rows[s] for s in self.slices(fraction, sample_seed))

    @property
    def holdout_path(self) -> str:
        return str(self.root / "holdout")

    @property
    def features(self) -> list[str]:
        return [column.name for column in self.columns]


def slice_folder(number: int) -> str:
    """Folder of one slice, relative to the data set's root."""
    return f"train/slice-{number:02d}"
