"""A prepared data set: where its rows lie, what its columns are, which slices or groups a sample is."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import SLICES, Task, fraction_slices
from sparkscale.contract.location import join

ROW, UNIT, LABEL, TRUTH, TIME = "row", "unit", "label", "truth", "time"
"""Columns beside the features: the row's id, the hold-out unit it belongs to (a week), the label; in the hold-out of
synthetic data what a model that knows the truth would predict; in data with a time its moment."""

HoldoutRule = Literal["random", "group", "time"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Frozen):
    """One feature.

    A numeric column holds numbers without nulls. A categorical one holds label-free ordinal codes
    0 … len(vocabulary) - 1 into a vocabulary fixed when the data set was made.
    `mean` and `std` are those of the full training rows (of the distribution, where data is synthetic), so that every
    engine scales alike. `source` is the user's own name of the column it was made from.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    vocabulary: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    source: str = ""


class Grouping(Frozen):
    """A way to part the rows into groups, one model each.

    `column` holds a row's group as a code 0 … groups - 1; `keys` is the Parquet file, relative to the root, that says
    for each code its key and its rows. A group with fewer than `min_rows` rows, hold-out included, is too small to
    train on: it is counted, and named as such by what trains, never dropped in silence.
    """

    name: str
    column: str
    keys: str
    groups: int
    min_rows: int
    trainable: int
    """Groups with at least `min_rows` rows."""
    rows: tuple[int, int, int]
    """Rows of the smallest, the median and the largest group."""

    def sample(self, fraction: float, sample_seed: int) -> list[int]:
        """The codes of a sample of groups: for per-group workloads a fraction means groups, not rows.

        The first max(1, round(fraction·groups)) of an order that the seed alone decides, so samples are nested.
        """

        def rank(code: int) -> bytes:
            return hashlib.sha256(f"{self.name}:{sample_seed}:{code}".encode()).digest()

        return sorted(range(self.groups), key=rank)[: max(1, round(fraction * self.groups))]


class Moments(Frozen):
    """Moments of some rows' values: how many rows, their mean, and the sum of squared deviations from that mean."""

    rows: int
    mean: float
    squares: float

    @property
    def std(self) -> float:
        """The population's standard deviation, which divides by n; 0 without rows."""
        return math.sqrt(self.squares / self.rows) if self.rows else 0.0

    @classmethod
    def total(cls, parts: Iterable["Moments"]) -> "Moments":
        """All rows of these parts together, without a loss of digits for a mean far from 0.

        Formula: Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample Variances
        (1979).
        """
        rows, mean, squares = 0, 0.0, 0.0
        for part in parts:
            if part.rows:
                rows += part.rows
                step = part.mean - mean
                mean += step * part.rows / rows
                squares += part.squares + step**2 * (rows - part.rows) * part.rows / rows
        return cls(rows=rows, mean=mean, squares=squares)


class PreparedDataset(Frozen):
    """What a manifest says of a data set that lies ready at `root`, a local path or a URI."""

    name: str
    dataset_id: str
    content_hash: str
    root: str
    task: Task
    columns: tuple[Column, ...]
    slice_rows: tuple[int, ...]
    holdout_rows: int
    holdout: HoldoutRule
    unit_name: str
    """What the hold-out's units are called: "week"."""
    bytes: int
    groupings: tuple[Grouping, ...] = ()
    ceiling: dict[str, float] = {}
    """Qualities of the truth itself on this hold-out: no model beats them but by chance."""
    definition: dict[str, Any] = {}
    profile: dict[str, Any] = {}
    """What was found in the user's table."""
    merged: dict[int, str] = {}
    """Per sample seed, the root of a copy whose slices are merged into few files; only small data has one."""
    slice_labels: tuple[Moments, ...] = ()
    """The labels of each slice's rows; empty in manifests that were written before format 4."""

    def slices(self, fraction: float, sample_seed: int) -> list[int]:
        """The slices of a sample: the first 64·fraction of an order that the seed alone decides.

        Nested: a smaller fraction of the same seed is a prefix of a larger one.
        """
        order = sorted(range(SLICES), key=lambda s: hashlib.sha256(f"{sample_seed}:{s}".encode()).digest())
        return order[: int(fraction_slices(fraction))]

    def train_paths(self, fraction: float, sample_seed: int) -> list[str]:
        """Folders of Parquet files that hold the sample: one per slice, or few where they are merged."""
        slices = self.slices(fraction, sample_seed)
        if sample_seed in self.merged:
            return [join(self.merged[sample_seed], merged_folder(j)) for j in range(len(slices).bit_length())]
        return [join(self.root, slice_folder(s)) for s in sorted(slices)]

    def fraction_of_files(self, files: int, sample_seed: int) -> float:
        """The smallest whose sample lies in so many folders, or all of it."""
        fractions = (2.0**-j for j in range(SLICES.bit_length() - 1, -1, -1))
        return next((one for one in fractions if len(self.train_paths(one, sample_seed)) >= files), 1.0)

    def rows(self, fraction: float, sample_seed: int) -> int:
        """Training rows in the sample."""
        return sum(self.slice_rows[s] for s in self.slices(fraction, sample_seed))

    def label_moments(self, fraction: float, sample_seed: int) -> Moments | None:
        """The labels of the sample's training rows, exact for every sample. None if the manifest does not say."""
        if not self.slice_labels:
            return None
        return Moments.total(self.slice_labels[s] for s in sorted(self.slices(fraction, sample_seed)))

    @property
    def holdout_path(self) -> str:
        return join(self.root, HOLDOUT_FOLDER)

    @property
    def features(self) -> list[str]:
        return [column.name for column in self.columns]

    def grouping(self, name: str) -> Grouping:
        """Raises KeyError for one that the data set does not offer."""
        return {grouping.name: grouping for grouping in self.groupings}[name]

    def description(self) -> dict[str, Any]:
        """What is stored beside the records: everything but where it lies."""
        return self.model_dump(mode="json", exclude={"root", "merged"})


HOLDOUT_FOLDER = "holdout"


def slice_folder(number: int) -> str:
    """Folder of one slice, relative to the data set's root."""
    return f"train/slice-{number:02d}"


def merged_folder(number: int) -> str:
    """Folder of what the 2^number-th part of the slices adds to the part half as large: slices 2^(number-1) …"""
    return f"train/group-{number}"
