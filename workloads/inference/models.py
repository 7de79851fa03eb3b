"""Makes models and reference predictions once, and stores them with hashes, which are checked before each use."""

import hashlib
import importlib.metadata
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.errors import ModelError
from sparkscale.contract.location import join
from sparkscale.contract.model import ModelFile, PreparedModel
from workloads.base import Engine, Params
from workloads.io import prepared
from workloads.io.filesystem import first_line, resolve, row_groups
from workloads.quality.scoring import Array, check_classes
from workloads.quality.validation import with_params

FOLDER = "prepared-models"
"""The folder with the models and their reference predictions, below a storage location."""
FORMAT = 1
SCORE = "score"
PREDICTION = pa.schema([(ROW, pa.int64()), (SCORE, pa.float64())])
"""The schema of reference predictions, and of the predictions that every engine writes."""

Scored = Callable[[pa.Table], Array]
"""A function that takes a table with the features and returns predictions; shape (rows,)."""


def training_of(run: Context, trainer: type[Engine], model: Params, fraction: float) -> Context:
    """Returns the context in which `trainer` trains a model, on a fraction of the training rows and on CPUs.

    `model` holds the parameters of the model.
    """
    rows = run.data.rows(fraction, run.case.sample_seed)
    part = run.with_case(fraction=fraction, rows=rows, device="cpu")
    return with_params(part, trainer(), model)


def prepare_model(
    training: Context, trainer: type[Engine], package: str, build: Callable[[str], dict[str, str]]
) -> PreparedModel:
    """Returns the stored model, without its reference predictions.

    If the model does not exist, `build` trains it and writes its files. `build` takes a folder, and returns the
    SHA-256 of files by path; the SHA-256 of all other files is computed later. Raises DatasetError if all training
    rows are of one class.
    """
    case = training.case
    definition = {
        "format": FORMAT,
        "trainer": f"{case.workload}/{trainer.__name__}",
        "arguments": training.arguments,
        "data": training.data.content_hash,
        "fraction": case.fraction,
        "sample_seed": case.sample_seed,
        "model_seed": case.model_seed,
        "package": {package: importlib.metadata.version(package)},
    }

    def checked_build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
        check_classes(training)
        return {}, build(root)

    root, manifest = prepared.prepare(
        training.storage, case.workload.replace(".", "-"), definition, checked_build, FOLDER
    )
    return PreparedModel(
        name=manifest.name,
        model_id=manifest.id,
        content_hash=manifest.content_hash,
        root=root,
        files=tuple(
            ModelFile(path=path, sha256=entry.sha256, bytes=entry.bytes) for path, entry in manifest.files.items()
        ),
        definition=manifest.definition,
    )


def prepare_reference(run: Context, model: PreparedModel, scored: Callable[[], Scored]) -> tuple[str, str]:
    """Returns the folder with the reference predictions for the case's rows, and the hash of these predictions.

    If there are no reference predictions, `scored` is called. The function that it returns makes the predictions,
    one row group after the other.
    """
    case = run.case
    definition = {
        "format": FORMAT,
        "model": model.content_hash,
        "data": run.data.content_hash,
        "fraction": case.fraction,
        "sample_seed": case.sample_seed,
    }

    def build(root: str) -> tuple[dict[str, Any], dict[str, str]]:
        predict = scored()
        system, path = resolve(root)
        with pq.ParquetWriter(f"{path}/reference.parquet", PREDICTION, filesystem=system) as writer:
            for group in row_groups(run.train_paths):
                table = group.read([ROW, *run.data.features])
                writer.write_table(predictions(table.column(ROW), predict(table)))
        return {}, {}

    root, manifest = prepared.prepare(run.storage, "reference", definition, build, FOLDER)
    return root, manifest.content_hash


def predictions(row: Any, score: Array) -> pa.Table:
    """Returns a table (schema PREDICTION) of row ids and predictions, both given with the shape (rows,)."""
    return pa.table([row, pa.array(score)], schema=PREDICTION)


def content_of(model: PreparedModel, path: str) -> bytes:
    """Reads a file of the model, and checks that its size and hash are those in the manifest.

    This check makes sure that only content that was stored here is unpickled. Raises ModelError if the file is
    missing, or if its size or hash is wrong.
    """
    expected, location = model.file(path), join(model.root, path)
    system, system_path = resolve(location)
    try:
        with system.open_input_stream(system_path, compression=None) as stream:
            content: bytes = stream.read()
    except OSError as error:
        raise ModelError(f"The model {location} cannot be read: {first_line(error)}.") from error
    if len(content) != expected.bytes:
        raise ModelError(f"The model {location} has {len(content):,} bytes, not {expected.bytes:,}: it is truncated.")
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise ModelError(f"The model {location} has another hash than the store's manifest says: it is not loaded.")
    return content
