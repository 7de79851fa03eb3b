"""The data set `table`: the user's own Parquet or CSV files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import reduce
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from sparkscale.contract.dataset import LABEL, ROW, TIME, UNIT, Grouping, HoldoutRule
from sparkscale.contract.errors import ConfigError, DatasetError
from sparkscale.contract.location import join, local_path
from workloads.datasets import table_survey as survey
from workloads.datasets import table_target as targets
from workloads.datasets.source import Layout, Source, count_groups, group_column, write_keys
from workloads.datasets.table_files import TableFiles, fingerprint, open_parquet, stage_csv
from workloads.datasets.table_holdout import Holdout
from workloads.datasets.table_paths import list_files
from workloads.datasets.table_profile import profile
from workloads.datasets.table_survey import NAMELESS, Feature, Span
from workloads.datasets.table_target import TableTask, Target, TargetCounts
from workloads.datasets.table_time import first_held_time, stretches
from workloads.datasets.table_values import Primitive, expand, use_of
from workloads.datasets.training_slices import Array, PartReport, Shape, order_by_place, part_starts, write_part
from workloads.io.filesystem import check_space, resolve
from workloads.libraries.tasks import Progress, Tasks, peak_bytes

LEAST_ROWS = 100
VALUE_BYTES = 8
"""The estimated size in bytes of one value of a user's column after encoding. It is more than four, because a
column may become several encoded columns of four bytes."""
FEWEST_GROUPS = 2
GROUP = "group"
ENCODING = 3
"""The version number of the encoding. It increases when the same files are encoded in a new way."""
MOST_NAMED = 10
"""If a table has at most this many columns, messages name all of them. Otherwise messages name only a few."""
CLOSEST = 5


class Table(Source):
    """The user's own table: a Parquet or CSV file, or a directory of them. Only `path` and `label` are required."""

    SUMMARY: ClassVar[str] = "your own table: Parquet or CSV, a file, a directory or a URI"

    kind: Literal["table"] = "table"
    path: str
    label: str = Field(min_length=1)
    group: str | None = None
    time: str | None = None
    features: tuple[str, ...] | None = Field(default=None, min_length=1)
    task: TableTask | None = None
    holdout: HoldoutRule | None = None

    @property
    def default_name(self) -> str:
        """Returns the file's name without its endings.

        Hyphens replace characters that a folder's name cannot have.
        """
        stem = PurePosixPath(self.path.partition("?")[0].rstrip("/")).name.split(".")[0]
        return "".join(char if char.isalnum() or char in "-_" else "-" for char in stem) or "table"

    @property
    def stated_rows(self) -> int | None:
        """Returns the number of rows that the footers of Parquet files state.

        Returns None for CSV, because CSV files have no footers.
        """
        files, kind = list_files(self.path)
        return open_parquet(self.path, files).rows if kind == "parquet" else None

    def within_groups(self) -> "Table":
        """Returns this table with a random hold-out instead of a hold-out of whole groups.

        The table is unchanged if the user named no group column, named a time column, or chose a rule.
        """
        unchanged = self.group is None or self.time is not None or self.holdout is not None
        return self if unchanged else self.model_copy(update={"holdout": "random"})

    @property
    def rule(self) -> HoldoutRule:
        """Returns the rule of the hold-out.

        This is the rule that the user chose. Without a choice it is `time` if the user named a time column,
        `group` if the user named a group column, and otherwise `random`.
        """
        return self.holdout or ("time" if self.time else "group" if self.group else "random")

    def definition(self, storage: str) -> dict[str, Any]:
        """Returns the definition. It depends on the content of the files, not on their location."""
        files, kind = list_files(self.path)
        content = {"content": fingerprint(storage, self.path, files), "file_format": kind, "encoding": ENCODING}
        return {**super().definition(storage), **content, "path": None}

    def check(self, storage: str) -> None:
        files, kind = list_files(self.path)
        if kind == "parquet":
            table = open_parquet(self.path, files)
            self._check_columns(table)
            check_space(storage, float(table.rows) * row_bytes(table), f"{self.title}: {table.rows:,} rows")
        else:
            check_space(storage, 2.0 * sum(info.size for info in files), f"{self.title}: its CSV")

    def _check_columns(self, table: TableFiles) -> None:
        """Raises DatasetError or ConfigError if a column that the user named is missing or has a wrong type."""
        names = table.schema.names
        for option, column in (
            ("label", self.label),
            ("group", self.group),
            ("time", self.time),
            *(("features", name) for name in self.features or ()),
        ):
            if column is not None and column not in names:
                raise DatasetError(
                    f"{self.path} has no column '{column}', which --{option} names: {column_hint(column, names)}."
                )
        if self.label in (self.group, self.time, *(self.features or ())):
            raise ConfigError(
                f"The column '{self.label}' cannot be the label and something else at once: name another column."
            )
        if self.rule == "time" and self.time is None:
            raise ConfigError("--holdout time needs --time COLUMN.")
        if self.rule == "group" and self.group is None:
            raise ConfigError("--holdout group needs --group COLUMN.")
        for option, column, uses in (
            ("time", self.time, ("date", "timestamp")),
            ("group", self.group, ("number", "text", "date", "timestamp")),
        ):
            if column is not None and use_of(table.schema.field(column).type) not in uses:
                raise DatasetError(
                    f"{self.path}: the column '{column}', which --{option} names, has the type "
                    f"{table.schema.field(column).type}, but must be a {' or '.join(uses)}: name another column."
                )
        for column in self.features or ():
            if use_of(table.schema.field(column).type) == "none":
                raise DatasetError(
                    f"{self.path}: the column '{column}' of type {table.schema.field(column).type} cannot be a "
                    "feature: only numbers, booleans, texts, dates and timestamps can."
                )
        kind = table.schema.field(self.label).type
        if pa.types.is_null(kind):
            raise DatasetError(
                f"{self.path}: the label column '{self.label}' is null in all {table.rows:,} rows: name another "
                "column with --label."
            )
        if use_of(kind) not in ("number", "text"):
            raise DatasetError(
                f"{self.path}: the label column '{self.label}' has the type {kind}, which cannot be a label: "
                "classification needs two values, regression needs a number."
            )

    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:
        files, kind = list_files(self.path)
        table = open_parquet(self.path, files) if kind == "parquet" else stage_csv(self.path, files, root)
        self._check_columns(table)
        starts = part_starts(table.rows, row_bytes(table))
        spans = [
            Span(table, start, stop, self.label, self.group, self.time)
            for start, stop in zip(starts, [*starts[1:], table.rows], strict=True)
        ]
        totals = reduce(TargetCounts.add, tasks.map(survey.count_target, spans))
        target = self._target(table, totals)
        sources = self._sources(table)
        counted = tasks.map(survey.count_features, [(span, target, sources) for span in spans])
        counts = reduce(survey.FeatureCounts.add, counted)
        self._check_holdout(target, totals, counts)
        if target.rule == "time":
            target = replace(target, stretches=stretches(counts.held_out_times))
        features = survey.choose(table, sources, counts, self.features is not None, self.label, self.path)
        groups = (group_column(GROUP),) if self.group else ()
        shape = Shape(
            target.task,
            tuple(feature.column for feature in features.used),
            groups=groups,
            has_time=self.time is not None,
        )
        jobs = [(span, target, shape, features.used, root, number) for number, span in enumerate(spans)]
        parts: list[Written] = tasks.map(_write, jobs, progress)
        _remove_staged(root)
        unit_rows = np.sum([part.unit_rows for part in parts], axis=0)
        holdout = Holdout(
            target, counts.held_out, counts.held_out_positive, unit_rows[unit_rows > 0], counts.held_out_times
        )
        return Layout(
            shape=shape,
            parts=[part.report for part in parts],
            holdout=target.rule,
            unit_name=target.unit_name,
            groupings=self._groupings(root, target, [part.group_rows for part in parts]),
            profile=profile(table, target, totals, counts, features, holdout),
            peak_bytes=max(part.peak_bytes for part in parts),
        )

    def _target(self, table: TableFiles, totals: TargetCounts) -> Target:
        """Returns the target: the table's label, learning task, groups, times and rule of the hold-out.

        Raises DatasetError if the label, group or time column cannot be used, or if there are too few rows.
        """
        label = self.label
        try:
            task = targets.task_of(label, table.schema.field(label).type, totals, self.task, self.path)
        except DatasetError as error:
            if label not in table.notes:
                raise
            raise DatasetError(f"{error} Note about this column: {table.notes[label]}.") from error
        used = totals.rows - totals.unlabelled - totals.timeless
        if used < LEAST_ROWS:
            raise DatasetError(
                f"{self.path} has only {used:,} rows with a label (and a time, if --time names one): a measurement "
                f"needs at least {LEAST_ROWS}."
            )
        keys = tuple(sorted(totals.groups))
        if self.group and len(keys) > used / 2:
            raise DatasetError(
                f"{self.path}: the group column '{self.group}' has {len(keys):,} groups in {used:,} rows, more than "
                "one for every two: it identifies rows, not groups. Name another column with --group."
            )
        if self.rule == "group" and len(keys) < FEWEST_GROUPS:
            raise DatasetError(
                f"{self.path}: the group column '{self.group}' has a single group, so none can be held out: "
                "use --holdout random."
            )
        return Target(
            label=label,
            task=task,
            classes=tuple(sorted(totals.classes)) if task == "classification" else (),
            rule=self.rule,
            rows=used,
            group=self.group,
            keys=keys,
            held_groups=(
                targets.held_groups(totals, keys, str(self.group), self.path) if self.rule == "group" else frozenset()
            ),
            time=self.time,
            offset=targets.offset_of(totals.values) if task == "regression" else 0.0,
            first_held=first_held_time(totals.times, str(self.time), self.path) if self.rule == "time" else 0,
        )

    def _sources(self, table: TableFiles) -> tuple[str, ...]:
        """Returns the names of the columns that may become features.

        These are the features that the user listed. Without such a list, they are all columns with a name and a
        usable type, except label, group and time.
        """
        if self.features is not None:
            return tuple(dict.fromkeys(self.features))
        excluded = (self.label, self.group, self.time, NAMELESS)
        return tuple(f.name for f in table.schema if f.name not in excluded and use_of(f.type) != "none")

    def _check_holdout(self, target: Target, totals: TargetCounts, counts: survey.FeatureCounts) -> None:
        """Raises DatasetError if the hold-out or the training rows are empty, or all of one class."""
        one_class = target.task == "classification" and counts.held_out_positive in (0, counts.held_out)
        train_positive = totals.classes[target.classes[1]] - counts.held_out_positive if target.classes else 1
        train_rows = target.rows - counts.held_out
        if (
            not counts.held_out
            or not train_rows
            or one_class
            or (target.classes and not 0 < train_positive < train_rows)
        ):
            raise DatasetError(
                f"{self.path}: with --holdout {target.rule} the hold-out or the training rows have only one value of "
                f"'{self.label}': choose another rule with --holdout."
            )

    def _groupings(self, root: str, target: Target, sizes: Sequence[Array]) -> tuple[Grouping, ...]:
        if target.group is None:
            return ()
        train, held_out = np.sum(sizes, axis=0)
        return (write_keys(root, GROUP, pa.array(target.keys, pa.string()), train, held_out),)


def column_hint(column: str, names: list[str]) -> str:
    """Returns the part of a message that names the columns of a table.

    If there are many columns, the message names only the ones that are spelt most like `column`.
    """
    if len(names) <= MOST_NAMED:
        return f"it has {', '.join(names)}"
    closest = get_close_matches(column, names, CLOSEST, 0.0)
    return f"the most similar of its {len(names):,} columns are {', '.join(closest)}"


def row_bytes(table: TableFiles) -> int:
    """Returns the estimated size in bytes of an encoded row. Four columns are added to the table's own columns."""
    return VALUE_BYTES * (len(table.schema) + 4)


def _remove_staged(root: str) -> None:
    """Removes the Parquet file to which CSV files were converted."""
    staged = join(root, "_staged")
    system, path = resolve(staged)
    local = local_path(staged)
    if local is not None:
        shutil.rmtree(local, ignore_errors=True)
    elif system.get_file_info(path).type.name != "NotFound":
        system.delete_dir(path)


@dataclass(frozen=True)
class Written:
    """A task's report about a part that it wrote.

    `group_rows` holds the number of training rows and of hold-out rows of each group, shape (2, groups). `unit_rows`
    holds the number of hold-out rows of each unit, shape (units,).
    """

    report: PartReport
    group_rows: Array
    unit_rows: Array
    peak_bytes: int


def _write(job: tuple[Span, Target, Shape, tuple[Feature, ...], str, int]) -> Written:
    """Encodes one span of rows, and writes it as one part of the data set. This runs as a task."""
    span, target, shape, features, root, part = job
    sources = tuple(dict.fromkeys(feature.column.source for feature in features))
    columns = survey.needed_columns(target, sources)
    blocks: list[dict[str, Array]] = []
    starts: list[Array] = []
    sizes = np.zeros((2, len(target.keys)), dtype=np.int64)
    unit_rows = np.zeros(target.unit_count, dtype=np.int64)
    for first, whole in span.files.batches(span.start, span.stop, columns):
        row, batch = survey.usable_rows(first, whole, target)
        held = target.held_out(row, batch)
        order, start = order_by_place(row, held)
        units = target.units(row, batch)
        unit_rows += np.bincount(units[held], minlength=target.unit_count)
        arrays = {ROW: row, UNIT: units, LABEL: target.of(batch)}
        if target.time is not None:
            arrays[TIME] = target.times(batch)
        if target.group is not None:
            arrays[shape.groups[0]] = codes = target.group_codes(batch)
            sizes += [count_groups([codes[mask]], len(target.keys)) for mask in (~held, held)]
        primitives: dict[Primitive, Any] = {}
        for source in sources:
            primitives |= expand(source, batch.column(source))
        for feature in features:
            arrays[feature.column.name] = feature.encode(primitives[feature.primitive])
        blocks.append({name: values[order] for name, values in arrays.items()})
        starts.append(start)
    return Written(write_part(root, part, shape, blocks, starts), sizes, unit_rows, peak_bytes())
