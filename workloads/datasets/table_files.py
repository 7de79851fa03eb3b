"""Reads the user's files (Parquet or CSV) as one table with a fixed order of rows.

The files are in the order of their paths, and a row's id is its position in the table. CSV has no row groups, so a
task cannot read only a part of a CSV file. Therefore each CSV file is read once as a whole, and converted to Parquet.
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
from workloads.datasets.table_schema import common_schema, converted
from workloads.io.filesystem import as_dataset_error, resolve, sha256_of
from workloads.io.prepared import FOLDER

if TYPE_CHECKING:
    import pyarrow.dataset as ds

BATCH_ROWS = 65_536
CSV_MEMORY = 4
"""To read a CSV file, a process needs about this many times the file's size in memory."""
EMPTY = "{} is empty: it has no rows. Name a table with rows."


@dataclass(frozen=True)
class File:
    """One file of the table. `first` is the id of the file's first row.

    `path` is the file's path in the table's file system.
    """

    path: str
    first: int
    rows: int


@dataclass(frozen=True)
class TableFiles:
    """An opened Parquet table.

    The values of the columns in `partitions` are in the names of folders below `base` (hive style: COLUMN=VALUE).
    """

    location: str
    base: str
    files: tuple[File, ...]
    schema: pa.Schema
    partitions: pa.Schema
    bytes: int
    notes: Mapping[str, str] = field(default_factory=dict)
    """Notes for the user about how a column was read, by the name of the column."""
    encodings: tuple[str, ...] = ()
    """The names of the encodings of all files that are not UTF-8."""

    @property
    def rows(self) -> int:
        return self.files[-1].first + self.files[-1].rows

    def batches(self, start: int, stop: int, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """Yields pairs (id of the batch's first row, batch). The batches hold the rows `start` to `stop` - 1."""
        system, _ = resolve(self.location)
        for file in self.files:
            if file.first < stop and start < file.first + file.rows:
                yield from self._file_batches(system, file, start, stop, columns)

    def _file_batches(
        self, system: fs.FileSystem, file: File, start: int, stop: int, columns: list[str]
    ) -> Iterator[tuple[int, pa.RecordBatch]]:
        import pyarrow.dataset as ds

        dataset = ds.dataset(
            [file.path],
            format=parquet_format(),
            filesystem=system,
            partitioning=ds.partitioning(self.partitions, flavor="hive") if len(self.partitions) else None,
            partition_base_dir=self.base,
        )
        schema, names_in_file = dataset.schema, set(dataset.schema.names)
        file_schema = pa.schema([(schema if name in names_in_file else self.schema).field(name) for name in columns])
        (fragment,) = dataset.get_fragments()
        row = begin = file.first
        groups: list[int] = []
        for group in fragment.row_groups:
            if row < stop and start < row + group.num_rows:
                begin = begin if groups else row
                groups.append(group.id)
            row += group.num_rows
        selection = fragment.subset(row_group_ids=groups)
        for raw in selection.to_batches(schema=file_schema, columns=columns, batch_size=BATCH_ROWS):
            batch = self._converted(raw)
            low, high = max(start - begin, 0), min(stop - begin, batch.num_rows)
            if low < high:
                yield begin + low, batch.slice(low, high - low)
            begin += batch.num_rows

    def _converted(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the batch with each column converted to the column's type in the table."""
        fields = [self.schema.field(name) for name in batch.schema.names]
        arrays = [converted(values, field.type) for values, field in zip(batch.columns, fields, strict=True)]
        return pa.record_batch(arrays, schema=pa.schema(fields)) if fields else batch


def parquet_format() -> "ds.ParquetFileFormat":
    """Returns a Parquet format for Arrow that reads INT96 as microseconds.

    Spark writes timestamps as INT96 by default. Arrow's default is to read them as nanoseconds, which overflow for
    years outside 1677 to 2262.
    """
    import pyarrow.dataset as ds

    return ds.ParquetFileFormat(read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))


def open_parquet(location: str, files: list[fs.FileInfo]) -> TableFiles:
    """Opens Parquet files as one table. Reads only their footers.

    Raises DatasetError if a file is broken, if a column occurs twice, or if types differ too much between files.
    """
    import pyarrow.dataset as ds  # not at the top: its 50 MiB would count as memory of measured workers

    system, path = resolve(location)
    paths = [info.path for info in files]
    base = path if paths != [path] else path.rsplit("/", 1)[0]
    with as_dataset_error(location, "cannot be read as Parquet"):
        check_names(paths[0], pq.read_schema(paths[0], filesystem=system).names)
        whole = ds.dataset(
            paths, format=parquet_format(), filesystem=system, partitioning="hive", partition_base_dir=base
        )
        opened, row = [], 0
        schemas = []
        for fragment in whole.get_fragments():
            check_names(fragment.path, fragment.physical_schema.names)
            schemas.append(fragment.physical_schema)
            opened.append(File(fragment.path, row, fragment.metadata.num_rows))
            row += fragment.metadata.num_rows
        partitions = whole.partitioning.schema if whole.partitioning else pa.schema([])
        clash = set(partitions.names) & {name for schema in schemas for name in schema.names}
        partitions = pa.schema([field for field in partitions if field.name not in clash])
        named = [(file.path, schema) for file, schema in zip(opened, schemas, strict=True)]
        schema = common_schema([*named, ("the folders' names", partitions)])
    if row == 0:
        raise DatasetError(EMPTY.format(location))
    return TableFiles(location, base, tuple(opened), schema, partitions, sum(info.size for info in files))


def stage_csv(location: str, files: list[fs.FileInfo], root: str) -> TableFiles:
    """Reads CSV files into memory, and writes them as one Parquet file below `root`.

    Raises DatasetError if a file cannot be read, or if there is not enough memory.
    """
    system, _ = resolve(location)
    size = sum(info.size for info in files)
    available = psutil.virtual_memory().available
    if size * CSV_MEMORY > available:
        raise DatasetError(
            f"{location} holds {size / 2**30:.1f} GiB of CSV, too much to read into the {available / 2**30:.1f} GiB "
            "of free memory: convert it to Parquet."
        )
    tables, notes, encodings = table_csv.read_all(system, [info.path for info in files])
    schema = common_schema((info.path, table.schema) for info, table in zip(files, tables, strict=True))
    table = pa.concat_tables([_as(schema, table) for table in tables])
    if table.num_rows == 0:
        raise DatasetError(EMPTY.format(location))
    staged = join(root, STAGED)
    target, path = resolve(staged)
    target.create_dir(path.rsplit("/", 1)[0], recursive=True)
    pq.write_table(table, path, filesystem=target, row_group_size=BATCH_ROWS)
    opened = open_parquet(staged, [target.get_file_info(path)])
    return replace(opened, bytes=size, notes=notes, encodings=tuple(sorted(encodings)))


def _as(schema: pa.Schema, table: pa.Table) -> pa.Table:
    """Returns a CSV file's table with this schema. A column that the file does not have is filled with nulls."""
    columns = [
        pa.chunked_array([converted(chunk, field.type) for chunk in table[field.name].chunks], field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


STAGED = "_staged/table.parquet"


def column_names(location: str) -> list[str]:
    """Returns the column names of the table's first file. Raises DatasetError if the file cannot be read."""
    files, kind = list_files(location)
    system, _ = resolve(location)
    path = files[0].path
    if kind == "parquet":
        with as_dataset_error(path, "cannot be read"):
            return list(pq.read_schema(path, filesystem=system).names)
    return table_csv.names(system, path)


def fingerprint(storage: str, location: str, files: list[fs.FileInfo]) -> str:
    """Returns the SHA-256 of the files' contents and relative paths. It is the same on every machine.

    The hash of each file is stored with the file's size and time of change. So an unchanged file is read only
    once.
    """
    system, path = resolve(location)
    cache, cache_path = resolve(join(storage, f"{FOLDER}/.hashes/{hashlib.sha256(location.encode()).hexdigest()}"))
    known = _known_hashes(cache, cache_path)
    total, current = hashlib.sha256(), {}
    for info in files:
        stamp = f"{info.size}:{info.mtime_ns}"
        stored = known.get(info.path, ["", ""])
        sha = stored[1] if stored[0] == stamp else sha256_of(system, info.path)
        current[info.path] = [stamp, sha]
        total.update(f"{info.path[len(path) :]}\0{sha}\0".encode())
    if current != known:
        cache.create_dir(cache_path.rsplit("/", 1)[0], recursive=True)
        with cache.open_output_stream(cache_path) as stream:
            stream.write(json.dumps(current).encode())
    return total.hexdigest()


def _known_hashes(system: fs.FileSystem, path: str) -> dict[str, list[str]]:
    """Returns [SIZE:TIME, HASH] for each file that an earlier call of `fingerprint` read, by the file's path.

    Empty if no earlier call stored hashes, or if they cannot be read.
    """
    try:
        with system.open_input_stream(path) as stream:
            hashes: dict[str, list[str]] = json.loads(stream.read())
            return hashes
    except (OSError, ValueError):
        return {}
