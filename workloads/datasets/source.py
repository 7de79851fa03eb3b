"""What a data set's author writes: a definition, and how it becomes files."""

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
"""Of prepared data: rises when the same definition would give other files."""

MERGED_FORMAT = 2
"""Of merged copies, likewise."""

GROUP_ROWS = 100
"""A group needs as many rows, hold-out included, to be worth a model of its own."""

MERGED_BYTES = 256 * 2**20
"""Below this size a case would spend its time on opening 64 files: see docs/methodology.md for the measurement."""


@dataclass(frozen=True)
class Layout:
    """What a build says of the files it wrote; goes into the manifest."""

    shape: Shape
    parts: list[PartReport]
    holdout: HoldoutRule
    unit_name: str
    groupings: tuple[Grouping, ...] = ()
    ceiling: dict[str, float] | None = None
    profile: dict[str, Any] | None = None
    peak_bytes: int = 0
    """The most memory that a task had, where it was watched."""

    def content(self) -> dict[str, Any]:
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
    """A data set that can be made ready: its definition, as a user may write it.

    The fields are the definition; equal ones are the same data. Crosses processes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    SUMMARY: ClassVar[str]

    name: str = ""
    """How tables call it; empty: `default_name`."""

    @property
    @abstractmethod
    def default_name(self) -> str: ...

    @property
    def title(self) -> str:
        """What tables and the folder call it."""
        return self.name or self.default_name

    @property
    def stated_rows(self) -> int | None:
        """How many rows it has, hold-out included, where that is known before it is made."""
        return None

    def definition(self, storage: str) -> dict[str, Any]:  # noqa: ARG002 - a table keeps hashes there
        """What the folder's name is made from; everything that the files depend on."""
        return {"format": FORMAT, **self.model_dump(mode="json", exclude={"name"})}

    def within_groups(self) -> "Source":
        """The same data, its hold-out one that cuts through groups, if that was left to us."""
        return self

    @abstractmethod
    def check(self, storage: str) -> None:
        """Raises ConfigError or DatasetError for what cannot be made, before anything is written."""

    @abstractmethod
    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:
        """Writes the parts below `root`."""

    def prepare(
        self, storage: str, tasks: Tasks, sample_seeds: Sequence[int] = (0,), progress: Progress = silent
    ) -> PreparedDataset:
        """The data set, ready to read below `storage`; made when it is not there.

        Samples of small data lie merged for each of `sample_seeds`.
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
    """The root of a copy whose slices are merged for one sample seed: seven files instead of 64.

    The first is the sample of 1/64, each further one what the next larger fraction adds to it.
    """
    order = data.slices(1, sample_seed)
    groups = tuple(grouping.column for grouping in data.groupings)
    shape = Shape(data.task, data.columns, groups, has_time=TIME in schema_of(data.holdout_path).names)

    def build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
        known = {}
        for number in range(SLICES.bit_length()):
            slices = sorted(order[2 ** (number - 1) if number else 0 : 2**number])
            table = read_parquet([join(data.root, slice_folder(s)) for s in slices])
            path = part_file(merged_folder(number), 0)
            known[path] = write_table(root, path, table, shape)
        return {}, known

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
    """Writes the file that names a grouping's groups and counts their rows; arrays are in the order of the codes."""
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
    return f"group_{name}"


def count_groups(codes: Sequence[Array], groups: int) -> Array:
    """Rows per group over several arrays of codes."""
    counts: Array = np.sum([np.bincount(part, minlength=groups) for part in codes], axis=0)
    return counts


def numeric(name: str, known: Array) -> Column:
    """A numeric column whose scale is that of these values."""
    values = known.astype(np.float32).astype(np.float64)
    return Column(name=name, kind="numeric", mean=float(values.mean()), std=float(values.std()))
