"""Stores the results of training in Parquet files with one row per group. One column holds the models.

If Spark calls a function for each group, Spark writes these files. For all other engines, this module writes them.
Results are not collected in the driver. After the clock has stopped, the driver reads all columns except the
models.
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
"""The subfolder to which tasks write. Readers ignore it."""
FLUSH_GROUPS = 1000
FLUSH_BYTES = 16 * 2**20
"""A task writes its results to the file whenever it holds results of FLUSH_GROUPS groups, or models with this many
bytes."""


def models_folder(run: Context) -> str:
    """Returns the folder for an execution's models. The case's next execution on this machine removes it."""
    return folder_of(run, MODELS)


def layout_folder(run: Context) -> str:
    """Returns the folder for an execution's layout. It is removed when the execution ends."""
    return folder_of(run, LAYOUTS)


def as_table(results: list[Result]) -> pa.Table:
    """Returns a table with one row for each group's result (schema RESULT)."""
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array(results, pa.struct(list(RESULT))))])


def begin(folder: str) -> None:
    """Makes the folder, and the subfolder to which tasks write."""
    make_folder(join(folder, ATTEMPTS))


def write(folder: str, number: int, results: Iterable[Result]) -> str:
    """Writes the results of the task `number`, batch by batch, to a new file. Returns the file's name.

    The file is in the subfolder that readers ignore. Each attempt of a task writes a file of its own, even if two
    attempts run at the same time.
    """
    system, path = resolve(folder)
    name = f"part-{number:05d}-{uuid4().hex}.parquet"
    with pq.ParquetWriter(f"{path}/{ATTEMPTS}/{name}", RESULT, filesystem=system) as writer:
        for batch in _batches(iter(results)):
            writer.write_table(as_table(batch))
    return name


def commit(folder: str, names: Iterable[str]) -> None:
    """Moves the files with these names from the subfolder of attempts to `folder`, where readers look.

    Then removes the subfolder with the files that are left in it.
    """
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
    """Reads all results. The column `model` has the position of each model instead of its bytes.

    A position is "FILE#ROW", with the file and the row number. It is None if the group has no model.
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
    """Reads the bytes of models from their positions, which are in the table of groups."""
    system, _ = resolve(storage)
    models = []
    for place in places:
        path, _, number = place.rpartition("#")
        with pq.ParquetFile(path, filesystem=system) as file:
            rows = (value for batch in file.iter_batches(columns=["model"]) for value in batch.column(0))
            models.append(next(islice(rows, int(number), None)).as_py())
    return models
