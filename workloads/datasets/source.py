"""The base class of data sets. A data set has a definition, and code that turns the definition into files."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import (
    TIME,
    Column,
    Grouping,
    HoldoutRule,
    Moments,
    PreparedDataset,
    merged_folder,
    slice_folder,
)
from sparkscale.contract.location import join
from workloads.datasets.training_slices import Array, PartReport, Shape, part_file, write_file, write_table
from workloads.io import prepared
from workloads.io.filesystem import read_parquet, schema_of
from workloads.libraries.tasks import Progress, Tasks, silent

FORMAT = 5
"""The format number of prepared data. It increases when the same definition gives other files than before."""

MERGED_FORMAT = 2
"""The format number of merged copies (see `merged`). It increases when the same definition gives other copies."""

GROUP_ROWS = 100
"""A group needs this many rows, hold-out included, to get its own model."""

MERGED_BYTES = 256 * 2**20
"""Data of at most this size gets merged copies, which have fewer files (see `merged`). Without them, a case with
so little data would spend most of its time on opening 64 files. See docs/methodology.md for the measurement."""


@dataclass(frozen=True)
class Layout:
    """The description of the files that `Source.build` wrote. It is stored in the folder's manifest."""

    shape: Shape
    parts: list[PartReport]
    holdout: HoldoutRule
    unit_name: str
    groupings: tuple[Grouping, ...] = ()
    ceiling: dict[str, float] | None = None
    profile: dict[str, Any] | None = None
    peak_bytes: int = 0
    """The largest peak memory of a task, in bytes. 0 if it was not measured."""

    def content(self) -> dict[str, Any]:
        """Returns the content of the manifest."""
        return {
            "task": self.shape.task,
            "columns": [column.model_dump(mode="json") for column in self.shape.columns],
            "slice_rows": np.sum([part.slice_rows for part in self.parts], axis=0).tolist(),
            "slice_labels": [
                Moments.total(parts).model_dump(mode="json")
                for parts in zip(*(part.slice_labels for part in self.parts), strict=True)
            ],
            "holdout_rows": sum(part.holdout_rows for part in self.parts),
            "holdout": self.holdout,
            "unit_name": self.unit_name,
            "groupings": [grouping.model_dump(mode="json") for grouping in self.groupings],
            "ceiling": self.ceiling or {},
            "profile": self.profile or {},
        }


class Source(BaseModel, ABC):
    """A data set that can be prepared. Its fields are its definition, which users can write themselves.

    Equal definitions give the same data. A source can be pickled and sent to other processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    SUMMARY: ClassVar[str]

    name: str = ""
    """The name in tables. If empty, `default_name` is used."""

    @property
    @abstractmethod
    def default_name(self) -> str:
        """Returns the name that is used if the user gives no name.

        The name of the data set's folder begins with this name.
        """

    @property
    def title(self) -> str:
        """Returns the name in tables and messages."""
        return self.name or self.default_name

    @property
    def stated_rows(self) -> int | None:
        """Returns the number of rows, including the hold-out. None if it is not known before the data is prepared."""
        return None

    def definition(self, storage: str) -> dict[str, Any]:  # noqa: ARG002 - `Table` stores file hashes there
        """Returns all values that the files depend on. The folder's name contains a digest of them."""
        return {"format": FORMAT, **self.model_dump(mode="json", exclude={"name"})}

    def within_groups(self) -> "Source":
        """Returns the data set that per-group workloads use. By default this is the data set itself.

        `Table` overrides this method, so that the hold-out has rows of the groups that are trained.
        """
        return self

    @abstractmethod
    def check(self, storage: str) -> None:
        """Raises ConfigError or DatasetError if the data cannot be prepared. This runs before anything is written."""

    @abstractmethod
    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:
        """Writes the parts of the data set below `root`, and returns the description of the files."""

    def prepare(
        self, storage: str, tasks: Tasks, sample_seeds: Sequence[int] = (0,), progress: Progress = silent
    ) -> PreparedDataset:
        """Returns the prepared data set below `storage`. Prepares it first if it does not exist.

        Small data gets a copy in fewer files for each of `sample_seeds` (see the function `merged`).
        """
        definition = self.definition(storage)
        if not prepared.exists(prepared.folder_of(storage, self.default_name, definition)):
            self.check(storage)

        def build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
            layout = self.build(root, tasks, progress)
            return layout.content(), {path: sha for part in layout.parts for path, sha in part.sha256.items()}

        root, manifest = prepared.prepare(storage, self.default_name, definition, build)
        data = PreparedDataset(
            name=self.title,
            dataset_id=manifest.id,
            content_hash=manifest.content_hash,
            root=root,
            bytes=manifest.bytes,
            definition=definition,
            **manifest.content,
        )
        if manifest.bytes > MERGED_BYTES:
            return data
        return data.model_copy(update={"merged": {seed: merged(storage, data, seed) for seed in sample_seeds}})


def merged(storage: str, data: PreparedDataset, sample_seed: int) -> str:
    """Returns the root of a copy in which slices are merged for one sample seed: seven files instead of 64.

    Writes the copy first if it does not exist.

    The first file holds the sample with the fraction 1/64. Each further file holds the rows that the next larger
    fraction adds.
    """
    order = data.slices(1, sample_seed)
    groups = tuple(grouping.column for grouping in data.groupings)
    shape = Shape(data.task, data.columns, groups, has_time=TIME in schema_of(data.holdout_path).names)

    def build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
        hashes = {}
        for number in range(SLICES.bit_length()):
            slices = sorted(order[2 ** (number - 1) if number else 0 : 2**number])
            table = read_parquet([join(data.root, slice_folder(s)) for s in slices])
            path = part_file(merged_folder(number), 0)
            hashes[path] = write_table(root, path, table, shape)
        return {}, hashes

    definition = {
        "format": [FORMAT, MERGED_FORMAT],
        "merged": data.content_hash,
        "of": data.dataset_id,
        "sample_seed": sample_seed,
    }
    root, _ = prepared.prepare(storage, f"{MERGED_PREFIX}{data.dataset_id}", definition, build)
    return root


MERGED_PREFIX = "merged-"


def write_keys(root: str, name: str, keys: pa.Array, train_rows: Array, holdout_rows: Array) -> Grouping:
    """Writes a file with each group's key and numbers of training and hold-out rows. Returns the grouping.

    All arrays are in the order of the groups' codes.
    """
    path = f"groups/{name}.parquet"
    sink = pa.BufferOutputStream()
    table = pa.table({"key": keys, "train_rows": train_rows, "holdout_rows": holdout_rows})
    pq.write_table(table, sink, compression="zstd")
    write_file(root, path, sink.getvalue())
    rows = train_rows + holdout_rows
    return Grouping(
        name=name,
        column=group_column(name),
        keys=path,
        groups=len(rows),
        min_rows=GROUP_ROWS,
        trainable=int((rows >= GROUP_ROWS).sum()),
        rows=(int(rows.min()), int(np.median(rows)), int(rows.max())),
    )


def group_column(name: str) -> str:
    """Returns the name of the column that holds the group codes of a grouping."""
    return f"group_{name}"


def count_groups(codes: Sequence[Array], groups: int) -> Array:
    """Returns the number of rows of each group; shape (groups,). `codes` holds arrays of the rows' group codes."""
    counts: Array = np.sum([np.bincount(part, minlength=groups) for part in codes], axis=0)
    return counts


def numeric(name: str, known: Array) -> Column:
    """Describes a numeric column by the mean and the standard deviation of its values `known`."""
    values = known.astype(np.float32).astype(np.float64)
    return Column(name=name, kind="numeric", mean=float(values.mean()), std=float(values.std()))
