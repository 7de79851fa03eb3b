"""What training leaves on storage: Parquet files of one row per group, its model among the columns.

The engines that hand Spark a function for a group let it write them; the others write them here. Nothing is
collected: the driver reads every column but the models, after the clock has stopped.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.context import Context
from sparkscale.contract.location import join
from workloads.io.execution_folders import folder_of
from workloads.io.filesystem import files_below, make_folder, resolve
from workloads.per_group.training import Result

RESULT = pa.schema(
    [
        ("group", pa.int32()),
        ("rows", pa.int64()),
        ("holdout_rows", pa.int64()),
        ("given_rows", pa.int64()),
        ("given_holdout_rows", pa.int64()),
        ("outcome", pa.string()),
        ("error", pa.string()),
        ("squared_error", pa.float64()),
        ("constant_squared_error", pa.float64()),
        ("seconds", pa.float64()),
        ("busy_seconds", pa.float64()),
        ("task", pa.int32()),
        ("model_bytes", pa.int64()),
        ("model", pa.binary()),
    ]
)
"""Of `Result`."""

MODELS, LAYOUTS = "models", "layouts"
ATTEMPTS = "_attempts"
"""Where in the folder tasks write: nobody reads it."""
FLUSH_GROUPS = 1000
FLUSH_BYTES = 16 * 2**20
"""What a task keeps in memory before it writes."""


def models_folder(run: Context) -> str:
    """Where the models of an execution lie, until the case's next on this machine."""
    return folder_of(run, MODELS)


def layout_folder(run: Context) -> str:
    """Where an execution lays out its rows; removed when it ends."""
    return folder_of(run, LAYOUTS)


def as_table(results: list[Result]) -> pa.Table:
    """Rows of RESULT."""
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array(results, pa.struct(list(RESULT))))])


def begin(folder: str) -> None:
    """Makes the folder, and in it the one that tasks write to."""
    make_folder(join(folder, ATTEMPTS))


def write(folder: str, number: int, results: Iterable[Result]) -> str:
    """Writes what one task trained, as it comes, out of sight; returns the file's name. A task that is repeated, or
    runs twice at once, writes a file of its own each time.
    """
    system, path = resolve(folder)
    name = f"part-{number:05d}-{uuid4().hex}.parquet"
    with pq.ParquetWriter(f"{path}/{ATTEMPTS}/{name}", RESULT, filesystem=system) as writer:
        for batch in _batches(iter(results)):
            writer.write_table(as_table(batch))
    return name


def commit(folder: str, names: Iterable[str]) -> None:
    """Shows these files and no other."""
    system, path = resolve(folder)
    for name in names:
        system.move(f"{path}/{ATTEMPTS}/{name}", f"{path}/{name}")
    system.delete_dir(f"{path}/{ATTEMPTS}")


def _batches(results: Iterator[Result]) -> Iterator[list[Result]]:
    held: list[Result] = []
    size = 0
    for result in results:
        held.append(result)
        size += len(result.model or b"")
        if len(held) >= FLUSH_GROUPS or size >= FLUSH_BYTES:
            yield held
            held, size = [], 0
    if held:
        yield held


def read(folder: str) -> pa.Table:
    """Every row of RESULT, but in the place of a model's bytes where it lies: the file and the number of its row."""
    system, _ = resolve(folder)
    schema = pa.schema([field for field in RESULT if field.name != "model"])
    parts = []
    for info in files_below(folder, ".parquet"):
        with pq.ParquetFile(info.path, filesystem=system) as file:
            table = file.read(columns=schema.names).cast(schema)
        sizes = table.column("model_bytes").to_pylist()
        places = [None if size is None else f"{info.path}#{number}" for number, size in enumerate(sizes)]
        parts.append(table.append_column("model", pa.array(places, pa.string())))
    return pa.concat_tables(parts) if parts else schema.append(pa.field("model", pa.string())).empty_table()


def read_models(places: Iterable[str], storage: str) -> list[bytes]:
    """The bytes of models by where they lie, as the table of groups says."""
    system, _ = resolve(storage)
    found = []
    for place in places:
        path, _, number = place.rpartition("#")
        with pq.ParquetFile(path, filesystem=system) as file:
            rows = (value for batch in file.iter_batches(columns=["model"]) for value in batch.column(0))
            found.append(next(islice(rows, int(number), None)).as_py())
    return found
