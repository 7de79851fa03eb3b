"""A prepared data set: where its rows are, its columns, and the slices or groups of a sample."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import SLICES, Task, fraction_slices
from sparkscale.contract.location import join

ROW, UNIT, LABEL, TRUTH, TIME = "row", "unit", "label", "truth", "time"
"""The names of the columns that are not features.

`row` is the row's id, `unit` its hold-out unit (such as a week), and `label` its label. `truth` is the prediction
of the model that generated the data; only the hold-out of synthetic data has it. Only data with a time has `time`.
"""

HoldoutRule = Literal["random", "group", "time"]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(Frozen):
    """One feature.

    A numeric column has numbers without nulls. A categorical column has codes 0 … len(vocabulary) - 1, which are
    positions in the vocabulary. The vocabulary was fixed when the data set was made, and no code depends on the
    label. `mean` and `std` describe all training rows, or the distribution if the data is synthetic, so that every
    engine scales the feature in the same way. `source` is the column of the user's table from which the feature
    was made. It is empty for other data.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    vocabulary: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    source: str = ""


class Grouping(Frozen):
    """A division of the rows into groups, with one model for each group.

    `column` is the column with the code of each row's group, 0 … groups - 1. `keys` is the path, relative to the
    root, of a Parquet file with the key and the number of rows of each code. A group with fewer than `min_rows`
    rows, hold-out included, is too small to train on. It is counted, and engines report it as too small; it is
    never dropped silently.
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
        """Returns the codes of a sample of groups. In per-group workloads a fraction counts groups, not rows.

        The order of the groups depends only on the seed and the grouping's name. The sample has the first
        max(1, round(fraction·groups)) groups in this order, so samples are nested.
        """

        def rank(code: int) -> bytes:
            return hashlib.sha256(f"{self.name}:{sample_seed}:{code}".encode()).digest()

        return sorted(range(self.groups), key=rank)[: max(1, round(fraction * self.groups))]


class Moments(Frozen):
    """Moments of the values of some rows: number of rows, mean, and sum of squared deviations from that mean."""

    rows: int
    mean: float
    squares: float

    @property
    def std(self) -> float:
        """The population's standard deviation, which divides by n. It is 0 without rows."""
        return math.sqrt(self.squares / self.rows) if self.rows else 0.0

    @classmethod
    def total(cls, parts: Iterable["Moments"]) -> "Moments":
        """Returns the moments of all rows of these parts together. No digits are lost if the mean is far from 0.

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
    """A data set that is ready to read at `root` (a local path or a URI), as its manifest describes it."""

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
    """The name of a hold-out unit, such as "week"."""
    bytes: int
    groupings: tuple[Grouping, ...] = ()
    ceiling: dict[str, float] = {}
    """The ceiling by quality: the value of a model that knows how the data was made. Empty if it is not known.

    Other models can exceed the ceiling only by chance.
    """
    definition: dict[str, Any] = {}
    profile: dict[str, Any] = {}
    """The description of the user's table; empty for other data."""
    merged: dict[int, str] = {}
    """Maps a sample seed to the root of a copy with slices merged into few files. Only small data has copies."""
    slice_labels: tuple[Moments, ...] = ()
    """The moments of the labels, slice by slice. Empty in manifests that were written before format 4."""

    def slices(self, fraction: float, sample_seed: int) -> list[int]:
        """Returns the numbers of a sample's slices: the first 64·fraction, in an order that only the seed decides.

        Samples are nested: with the same seed, the slices of a smaller fraction are the first ones of a larger
        fraction.
        """
        order = sorted(range(SLICES), key=lambda s: hashlib.sha256(f"{sample_seed}:{s}".encode()).digest())
        return order[: int(fraction_slices(fraction))]

    def train_paths(self, fraction: float, sample_seed: int) -> list[str]:
        """Returns the folders of the sample's Parquet files.

        There is one folder for each slice, or fewer if `merged` has a copy in fewer files for the sample seed.
        """
        slices = self.slices(fraction, sample_seed)
        if sample_seed in self.merged:
            return [join(self.merged[sample_seed], merged_folder(j)) for j in range(len(slices).bit_length())]
        return [join(self.root, slice_folder(s)) for s in sorted(slices)]

    def fraction_of_files(self, files: int, sample_seed: int) -> float:
        """Returns the smallest fraction with a sample that has enough folders of files (see `train_paths`).

        `files` is the smallest number of folders that is enough. Returns 1 if no sample has that many.
        """
        fractions = (2.0**-j for j in range(SLICES.bit_length() - 1, -1, -1))
        return next(
            (fraction for fraction in fractions if len(self.train_paths(fraction, sample_seed)) >= files), 1.0
        )

    def rows(self, fraction: float, sample_seed: int) -> int:
        """Returns the number of training rows in the sample."""
        return sum(self.slice_rows[s] for s in self.slices(fraction, sample_seed))

    def label_moments(self, fraction: float, sample_seed: int) -> Moments | None:
        """Returns the exact moments of the labels in a sample. None if the manifest has no moments of labels."""
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
        """Returns the grouping of this name. Raises KeyError if the data set does not have it."""
        return {grouping.name: grouping for grouping in self.groupings}[name]

    def description(self) -> dict[str, Any]:
        """Returns the description that is stored with the records: everything except where the files are."""
        return self.model_dump(mode="json", exclude={"root", "merged"})


HOLDOUT_FOLDER = "holdout"


def slice_folder(number: int) -> str:
    """Returns the folder of one slice, relative to the data set's root."""
    return f"train/slice-{number:02d}"


def merged_folder(number: int) -> str:
    """Returns a folder of a copy in fewer files (see `PreparedDataset.merged`), relative to the copy's root.

    The folder has the sample's slices 2^(number-1) to 2^number - 1. The slices are counted from 0, in the order of
    the sample (see `slices`). Folder 0 has the first slice. So folders 0 to `number` together have the first
    2^number slices.
    """
    return f"train/group-{number}"
