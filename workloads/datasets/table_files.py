"""The user's files: Parquet or CSV, one file or a directory of them, read as one table in a fixed order of rows.

Files are in the order of their paths; a row's id is its position. CSV has no row groups to read a part of, so it is
read once, whole, and staged as Parquet.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from sparkscale.contract.errors import DatasetError
from sparkscale.contract.location import join
from workloads.datasets import table_csv
from workloads.datasets.table_csv import check_names
from workloads.datasets.table_paths import list_files
from workloads.datasets.table_schema import converted, united
from workloads.io.filesystem import reported, resolve, sha256_of
from workloads.io.prepared import FOLDER

if TYPE_CHECKING:
    import pyarrow.dataset as ds

BATCH_ROWS = 65_536
CSV_MEMORY = 4
"""Reading a CSV takes about so many times its bytes."""
EMPTY = "{} is empty: it has no rows."


@dataclass(frozen=True)
class File:
    """One file: `first` is its first row's id. `path` is in the file system of the table's location."""

    path: str
    first: int
    rows: int


@dataclass(frozen=True)
class TableFiles:
    """An opened Parquet table. `partitions` are the columns that stand in hive-style folder names."""

    location: str
    base: str
    files: tuple[File, ...]
    schema: pa.Schema
    partitions: pa.Schema
    bytes: int
    notes: Mapping[str, str] = field(default_factory=dict)
    """How a column was read, by its name, where a user should know."""
    encodings: tuple[str, ...] = ()
    """The encodings of files that are not UTF-8."""

    @property
    def rows(self) -> int:
        return self.files[-1].first + self.files[-1].rows

    def batches(self, start: int, stop: int, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Rows with ids from `start` to before `stop`, as batches, each with its first row's id."""
        system, _ = resolve(self.location)
        for file in self.files:
            if file.first < stop and start < file.first + file.rows:
                yield from self._of_file(system, file, start, stop, columns)

    def _of_file(
        self, system: fs.FileSystem, file: File, start: int, stop: int, columns: list[str]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        import pyarrow.dataset as ds

        found = ds.dataset(
            [file.path],
            format=parquet_format(),
            filesystem=system,
            partitioning=ds.partitioning(self.partitions, flavor="hive") if len(self.partitions) else None,
            partition_base_dir=self.base,
        )
        schema, there = found.schema, set(found.schema.names)
        own = pa.schema([(schema if name in there else self.schema).field(name) for name in columns])
        (fragment,) = found.get_fragments()
        row = begin = file.first
        groups: list[int] = []
        for group in fragment.row_groups:
            if row < stop and start < row + group.num_rows:
                begin = begin if groups else row
                groups.append(group.id)
            row += group.num_rows
        wanted = fragment.subset(row_group_ids=groups)
        for read in wanted.to_batches(schema=own, columns=columns, batch_size=BATCH_ROWS):
            batch = self._converted(read)
            low, high = max(start - begin, 0), min(stop - begin, batch.num_rows)
            if low < high:
                yield begin + low, batch.slice(low, high - low)
            begin += batch.num_rows

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The same values, each column as the table's."""
        fields = [self.schema.field(name) for name in batch.schema.names]
        arrays = [converted(values, field.type) for values, field in zip(batch.columns, fields, strict=True)]
        return pa.record_batch(arrays, schema=pa.schema(fields)) if fields else batch


def parquet_format() -> "ds.ParquetFileFormat":
    """How files are read: INT96, in which Spark writes timestamps by default, as microseconds. Arrow's own choice of
    nanoseconds wraps what lies outside 1677 to 2262.
    """
    import pyarrow.dataset as ds

    return ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))


def open_parquet(location: str, files: list[fs.FileInfo]) -> TableFiles:
    """Reads the footers. Raises DatasetError for a broken file, for duplicate columns and types that do not unite."""
    import pyarrow.dataset as ds  # here, for it takes 50 MiB, which measured workers must not have

    system, path = resolve(location)
    paths = [info.path for info in files]
    base = path if paths != [path] else path.rsplit("/", 1)[0]
    with reported(location, "cannot be read as Parquet"):
        check_names(paths[0], pq.read_schema(paths[0], filesystem=system).names)
        whole = ds.dataset(
            paths, format=parquet_format(), filesystem=system, partitioning="hive", partition_base_dir=base
        )
        found, row = [], 0
        schemas = []
        for fragment in whole.get_fragments():
            check_names(fragment.path, fragment.physical_schema.names)
            schemas.append(fragment.physical_schema)
            found.append(File(fragment.path, row, fragment.metadata.num_rows))
            row += fragment.metadata.num_rows
        partitions = whole.partitioning.schema if whole.partitioning else pa.schema([])
        clash = set(partitions.names) & {name for schema in schemas for name in schema.names}
        partitions = pa.schema([field for field in partitions if field.name not in clash])
        named = [(file.path, schema) for file, schema in zip(found, schemas, strict=True)]
        schema = united([*named, ("the folders' names", partitions)])
    if row == 0:
        raise DatasetError(EMPTY.format(location))
    return TableFiles(location, base, tuple(found), schema, partitions, sum(info.size for info in files))


def stage_csv(location: str, files: list[fs.FileInfo], root: str) -> TableFiles:
    """Reads CSV files into memory, and writes them as one Parquet file below `root`. Raises DatasetError."""
    system, _ = resolve(location)
    size = sum(info.size for info in files)
    available = psutil.virtual_memory().available
    if size * CSV_MEMORY > available:
        raise DatasetError(
            f"{location} holds {size / 2**30:.1f} GiB of CSV, too much to read into the {available / 2**30:.1f} GiB "
            "of memory that are free: convert it to Parquet."
        )
    tables, notes, encodings = table_csv.read_all(system, [info.path for info in files])
    schema = united((info.path, table.schema) for info, table in zip(files, tables, strict=True))
    table = pa.concat_tables([_as(schema, table) for table in tables])
    if table.num_rows == 0:
        raise DatasetError(EMPTY.format(location))
    staged = join(root, STAGED)
    target, path = resolve(staged)
    target.create_dir(path.rsplit("/", 1)[0], recursive=True)
    pq.write_table(table, path, filesystem=target, row_group_size=BATCH_ROWS)
    found = open_parquet(staged, [target.get_file_info(path)])
    return replace(found, bytes=size, notes=notes, encodings=tuple(sorted(encodings)))


def _as(schema: pa.Schema, table: pa.Table) -> pa.Table:
    """A table of CSV as rows of this schema; a column that it does not have is null."""
    columns = [
        pa.chunked_array([converted(chunk, field.type) for chunk in table[field.name].chunks], field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


STAGED = "_staged/table.parquet"


def column_names(location: str) -> list[str]:
    """Of the table's first file."""
    files, kind = list_files(location)
    system, _ = resolve(location)
    path = files[0].path
    if kind == "parquet":
        with reported(path, "cannot be read"):
            return list(pq.read_schema(path, filesystem=system).names)
    return table_csv.names(system, path)


def fingerprint(storage: str, location: str, files: list[fs.FileInfo]) -> str:
    """SHA-256 over the files' contents and relative paths: the same table has the same on every machine.

    A file's own hash is kept with its size and time, so that an unchanged one is read once only.
    """
    system, path = resolve(location)
    notes, notes_path = resolve(join(storage, f"{FOLDER}/.hashes/{hashlib.sha256(location.encode()).hexdigest()}"))
    known = _notes(notes, notes_path)
    total, kept = hashlib.sha256(), {}
    for info in files:
        stamp = f"{info.size}:{info.mtime_ns}"
        before = known.get(info.path, ["", ""])
        sha = before[1] if before[0] == stamp else sha256_of(system, info.path)
        kept[info.path] = [stamp, sha]
        total.update(f"{info.path[len(path) :]}\0{sha}\0".encode())
    if kept != known:
        notes.create_dir(notes_path.rsplit("/", 1)[0], recursive=True)
        with notes.open_output_stream(notes_path) as stream:
            stream.write(json.dumps(kept).encode())
    return total.hexdigest()


def _notes(system: fs.FileSystem, path: str) -> dict[str, list[str]]:
    try:
        with system.open_input_stream(path) as stream:
            found: dict[str, list[str]] = json.loads(stream.read())
            return found
    except (OSError, ValueError):
        return {}
