"""What every process that predicts is given: a model, how to ask it, and where to note that it was loaded."""

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
    """Picklable. `id` tells executions apart, `notes` is a folder on storage."""

    id: str
    format: type[Format]
    model: PreparedModel
    data: PreparedDataset
    threads: int
    device: Device
    batch_rows: int
    notes: str
    bind_gpu: Bind | None = None
    """In a process that is not bound to a GPU yet."""

    def predictor(self) -> Predictor:
        """The model, loaded anew, which is noted. Raises ModelError, and DeviceError for a task without a GPU."""
        bound_to_gpu(self.bind_gpu)
        with self.noted():
            return load(self.format(), self.model, self.data, self.threads, self.device)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Notes that the block has loaded the model."""
        began = time.perf_counter()
        yield
        system, path = resolve(join(self.notes, f"{uuid4().hex}.json"))
        with system.open_output_stream(path) as stream:
            stream.write(json.dumps({"seconds": time.perf_counter() - began}).encode())

    def scores(self, predictor: Predictor, table: pa.Table) -> Array:
        """Of a table that has the features; shape (rows,). Raises ModelError for nulls that the model cannot take."""
        check_values(self, table)
        return predictor.scores(table)

    def predicted(self, predictor: Predictor, table: pa.Table) -> pa.Table:
        """Rows of PREDICTION, of a table that has the row ids, too."""
        return predictions(table.column(ROW), self.scores(predictor, table))


def load(form: Format, model: PreparedModel, data: PreparedDataset, threads: int, device: Device) -> Predictor:
    """Raises ModelError for a file that is not what the manifest says, or no model of this format."""
    content = content_of(model, form.file)
    try:
        return form.loaded(content, data, threads, device)
    except (SparkscaleError, MemoryError):
        raise
    except Exception as error:
        raise ModelError(
            f"{model.root}/{form.file} is no model of the format {form.name}: {brief(error)}."
        ) from error


def seconds_of_loads(notes: str) -> list[float]:
    """Of every loading of an execution's model, wherever it was, verification included."""
    system, _ = resolve(notes)
    found = []
    for info in files_below(notes, ".json"):
        with system.open_input_stream(info.path) as stream:
            found.append(float(json.loads(stream.read())["seconds"]))
    return found


def check_values(job: Job, table: pa.Table) -> None:
    """Raises ModelError."""
    if job.format.takes_nulls:
        return
    for name in job.data.features:
        values = table.column(name)
        floating = pa.types.is_floating(values.type)
        if values.null_count or (floating and np.isnan(values.to_numpy()).any()):
            raise ModelError(f"The feature '{name}' has rows without a value, which a {job.format.name} cannot take.")


def check_columns(job: Job, schema: pa.Schema) -> None:
    """Raises ModelError for rows that lack a feature, or have one of another type, than the model was trained on."""
    for column in job.data.columns:
        if column.name not in schema.names:
            raise ModelError(f"The rows lack the feature '{column.name}', which the model was trained on.")
        found = schema.field(column.name).type
        if not (pa.types.is_integer(found) or pa.types.is_floating(found)):
            raise ModelError(f"The feature '{column.name}' is of type {found}, and the model was trained on numbers.")
