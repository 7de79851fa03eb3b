"""The job of a predicting process: it loads the model, records each load, and predicts."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pyarrow as pa

from sparkscale.contract.case import Device
from sparkscale.contract.dataset import ROW, PreparedDataset
from sparkscale.contract.errors import ModelError, SparkscaleError
from sparkscale.contract.location import join
from sparkscale.contract.model import PreparedModel
from sparkscale.contract.phrases import brief
from workloads.inference.formats import Format, Predictor
from workloads.inference.models import content_of, predictions
from workloads.io.filesystem import files_below, resolve
from workloads.libraries.tasks import Bind, bound_to_gpu
from workloads.quality.scoring import Array


@dataclass(frozen=True)
class Job:
    """Everything that a process needs to predict. Can be pickled.

    `id` is unique to an execution. `notes` is a folder on storage, which gets a file for each load of the model.
    """

    id: str
    format: type[Format]
    model: PreparedModel
    data: PreparedDataset
    threads: int
    device: Device
    batch_rows: int
    notes: str
    bind_gpu: Bind | None = None
    """Binds the process to a GPU. None if the process is already bound to a GPU, or needs none."""

    def predictor(self) -> Predictor:
        """Loads the model, and records in `notes` that it was loaded.

        Raises ModelError if the model cannot be loaded, and DeviceError if this Spark task has no GPU.
        """
        bound_to_gpu(self.bind_gpu)
        with self.load_recorded():
            return load(self.format(), self.model, self.data, self.threads, self.device)

    @contextmanager
    def load_recorded(self) -> Iterator[None]:
        """Measures the `with` block, which loads the model, and writes the seconds to a file in `notes`."""
        began = time.perf_counter()
        yield
        system, path = resolve(join(self.notes, f"{uuid4().hex}.json"))
        with system.open_output_stream(path) as stream:
            stream.write(json.dumps({"seconds": time.perf_counter() - began}).encode())

    def scores(self, predictor: Predictor, table: pa.Table) -> Array:
        """Returns the predictions for a table that has the features; shape (rows,).

        Raises ModelError if a feature has nulls and the model does not accept them.
        """
        check_values(self, table)
        return predictor.scores(table)

    def predicted(self, predictor: Predictor, table: pa.Table) -> pa.Table:
        """Returns row ids and predictions (schema PREDICTION) for a table with the row ids and the features."""
        return predictions(table.column(ROW), self.scores(predictor, table))


def load(form: Format, model: PreparedModel, data: PreparedDataset, threads: int, device: Device) -> Predictor:
    """Reads and loads the model. Raises ModelError if its file differs from the manifest or has a wrong format."""
    content = content_of(model, form.file)
    try:
        return form.loaded(content, data, threads, device)
    except (SparkscaleError, MemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"{model.root}/{form.file} is not a model of the format {form.name}: {brief(error)}."
        ) from error


def seconds_of_loads(notes: str) -> list[float]:
    """Returns the seconds of each load of the model, in all processes of an execution.

    `notes` is the folder of the job's notes. The seconds include the check of the model's hash.
    """
    system, _ = resolve(notes)
    seconds = []
    for info in files_below(notes, ".json"):
        with system.open_input_stream(info.path) as stream:
            seconds.append(float(json.loads(stream.read())["seconds"]))
    return seconds


def check_values(job: Job, table: pa.Table) -> None:
    """Raises ModelError if a feature lacks a value in some row and the model does not accept missing values."""
    if job.format.takes_nulls:
        return
    for name in job.data.features:
        values = table.column(name)
        floating = pa.types.is_floating(values.type)
        if values.null_count or (floating and np.isnan(values.to_numpy()).any()):
            raise ModelError(
                f"The feature '{name}' has rows without a value, which models of the format {job.format.name} cannot "
                "take."
            )


def check_columns(job: Job, schema: pa.Schema) -> None:
    """Raises ModelError if a feature that the model was trained on is missing in the rows, or is not a number."""
    for column in job.data.columns:
        if column.name not in schema.names:
            raise ModelError(f"The rows lack the feature '{column.name}', which the model was trained on.")
        column_type = schema.field(column.name).type
        if not (pa.types.is_integer(column_type) or pa.types.is_floating(column_type)):
            raise ModelError(
                f"The feature '{column.name}' is of type {column_type}, and the model was trained on numbers."
            )
