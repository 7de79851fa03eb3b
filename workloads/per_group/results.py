"""The results of training on storage: Parquet files with one row per group; one column holds the models.

Spark writes them for engines that pass Spark a function of one group; this module writes them for the others. Nothing
is collected: after the clock has stopped, the driver reads every column except the models.
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
"""The schema of `Result`."""

MODELS, LAYOUTS = "models", "layouts"
ATTEMPTS = "_attempts"
"""The subfolder that tasks write to. Readers ignore it."""
FLUSH_GROUPS = 1000
FLUSH_BYTES = 16 * 2**20
"""A task writes when it holds this many groups, or models of this many bytes."""


def models_folder(run: Context) -> str:
    """The folder of an execution's models. The case's next execution on this machine removes it."""
    return folder_of(run, MODELS)


def layout_folder(run: Context) -> str:
    """The folder in which an execution lays out its rows. It is removed when the execution ends."""
    return folder_of(run, LAYOUTS)


def as_table(results: list[Result]) -> pa.Table:
    """Returns rows of RESULT."""
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array(results, pa.struct(list(RESULT))))])


def begin(folder: str) -> None:
    """Makes the folder, and its subfolder that tasks write to."""
    make_folder(join(folder, ATTEMPTS))


def write(folder: str, number: int, results: Iterable[Result]) -> str:
    """Writes the results of one task, batch by batch, where readers do not look. Returns the file's name.

    A task that is repeated, or runs twice at once, writes a new file each time.
    """
    system, path = resolve(folder)
    name = f"part-{number:05d}-{uuid4().hex}.parquet"
    with pq.ParquetWriter(f"{path}/{ATTEMPTS}/{name}", RESULT, filesystem=system) as writer:
        for batch in _batches(iter(results)):
            writer.write_table(as_table(batch))
    return name


def commit(folder: str, names: Iterable[str]) -> None:
    """Moves these files, and no others, to where readers look."""
    system, path = resolve(folder)
    for name in names:
        system.move(f"{path}/{ATTEMPTS}/{name}", f"{path}/{name}")
    system.delete_dir(f"{path}/{ATTEMPTS}")


def _batches(results: Iterator[Result]) -> Iterator[list[Result]]:
    batch: list[Result] = []
    size = 0
    for result in results:
        batch.append(result)
        size += len(result.model or b"")
        if len(batch) >= FLUSH_GROUPS or size >= FLUSH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read(folder: str) -> pa.Table:
    """Reads every row of RESULT. The column `model` holds the place of each model: its file and row number.

    A place is "FILE#ROW", or None if the group has no model.
    """
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
    """Reads the bytes of models from their places, which the table of groups holds."""
    system, _ = resolve(storage)
    models = []
    for place in places:
        path, _, number = place.rpartition("#")
        with pq.ParquetFile(path, filesystem=system) as file:
            rows = (value for batch in file.iter_batches(columns=["model"]) for value in batch.column(0))
            models.append(next(islice(rows, int(number), None)).as_py())
    return models
