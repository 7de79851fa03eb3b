"""The inference pattern: its parameters and phases, the output of its engines, and the check of their predictions."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import uuid4

import numpy as np
import pyarrow.parquet as pq
from pydantic import Field, field_validator

from sparkscale.contract.case import Placement, fraction_slices
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import InvalidResult
from sparkscale.contract.model import PreparedModel
from workloads.base import CPU_AND_GPU, Engine, ModelEngine, ModelParams, Pattern, Quality
from workloads.datasets.training_slices import write_file
from workloads.inference.formats import Format
from workloads.inference.job import Job, check_columns, load, seconds_of_loads
from workloads.inference.models import (
    SCORE,
    Scored,
    prepare_model,
    prepare_reference,
    training_of,
)
from workloads.inference.output import Output
from workloads.io.execution_folders import folder_of, sweep
from workloads.io.filesystem import files_below, make_folder, remove_folder, resolve, schema_of
from workloads.quality.qualities import BY_DIFFERENCE, DIFFERENCE
from workloads.quality.scoring import Array

PREDICTIONS = "predictions"
COMPARED_ROWS = 2**22
"""About this many rows are compared at once, so that memory does not grow with the number of all rows."""


class InferenceParams(ModelParams):
    """The parameters of every inference workload.

    `model` holds the parameters of the model, which is trained once, on the fraction `train_fraction` of the training
    rows.
    """

    train_fraction: float = Field(default=1 / 16, gt=0, le=1)
    batch_rows: int = Field(default=10_000, ge=1)
    """The number of rows in an Arrow batch. A Python function gets one batch in each call."""
    threads: int = Field(default=0, ge=0)
    """The number of threads of `single-process`; 0 means one for each core."""

    @field_validator("train_fraction")
    @classmethod
    def _is_a_fraction(cls, value: float) -> float:
        if fraction_slices(value) not in {2**j for j in range(7)}:
            raise ValueError(f"{value} is not a power of two between 1/64 and 1")
        return value


FIGURES = (
    Figure(name="model_bytes", unit="bytes", direction="lower"),
    Figure(name="model_loads", unit="loads", direction="lower"),
    Figure(
        name="model_load_seconds",
        unit="s",
        direction="lower",
        summary="seconds of loading a model, of all its loads together",
        metric=True,
    ),
    Figure(name="bytes_read", unit="bytes"),
    Figure(name="bytes_written", unit="bytes"),
    Figure(name="files_written", unit="files"),
)

INFERENCE = Pattern(
    name="inference",
    phases=("load", "predict"),
    time_to_model=("load", "predict"),
    tables=(),
    fixed_seeds=True,  # the model and the reference are made once, and the quality of the model is not judged
    report="inference",
    figures=FIGURES,
    warms_each_slot=True,
)


@dataclass(frozen=True)
class Written:
    """The result of `predict`: the output, and the job that wrote it."""

    output: Output
    job: Job


class InferenceEngine(ModelEngine):
    """An engine of this pattern: one way to bring rows to a model. `made_for` binds it to a workload's models.

    `load` prepares the model and the Spark session. `predict` reads rows from Parquet and writes predictions as
    Parquet.
    """

    format: ClassVar[type[Format]]
    package: ClassVar[str]
    """The package that reads and writes the model's files. The files' content depends on the package's release."""
    devices = CPU_AND_GPU
    model_placement: ClassVar[Placement | None] = "node"
    threads_each: ClassVar[int] = 0
    """The number of threads of each predicting process on one node. If 0, the parameter `threads` decides; if
    that is 0, too, a process has all threads of the case."""

    @classmethod
    def made_for(cls, form: type[Format], kind: type[InferenceParams]) -> "type[InferenceEngine]":
        """Returns this engine bound to a workload's parameters and models."""
        model, package = cls.maker(form)
        return cls.specialised(model, format=form, kind=kind, model=model, package=package)

    @classmethod
    def maker(cls, form: type[Format]) -> tuple[type[Engine], str]:
        """Returns the engine that trains models of this format, and the package that reads and writes their files."""
        return form.trainer, form.package

    def prepared_model(self, run: Context) -> PreparedModel:
        params = self.params(run)
        training = training_of(run, self.model, params.model, params.train_fraction)
        model = prepare_model(training, self.model, self.package, lambda root: self.build(training, root))
        reference, content_hash = prepare_reference(run, model, lambda: self.reference(run, model))
        return model.model_copy(update={"reference": reference, "reference_hash": content_hash})

    def build(self, training: Context, root: str) -> dict[str, str]:
        """Trains the model and writes its files below `root`.

        Returns the SHA-256 of files by path. If a file is not in the result, its SHA-256 is computed later.
        """
        trainer: Any = self.model()
        content = self.format().dumped(trainer.fit(training, trainer.load(training)))
        return {self.format.file: write_file(root, self.format.file, content)}

    def reference(self, run: Context, model: PreparedModel) -> Scored:
        """Returns a function that computes the reference predictions in this process, without Spark."""
        return load(self.format(), model, run.data, run.case.known_threads, "cpu").scores

    def job(self, run: Context) -> Job:
        """Returns the job for the execution's processes, and makes the folder in which they record their loads.

        Raises ModelError if the model cannot predict these rows.
        """
        model = run.model
        assert model is not None
        params, in_task = self.params(run), self.placement == "spark"
        job = Job(
            id=uuid4().hex,
            format=self.format,
            model=model,
            data=run.data,
            threads=1 if in_task else self.threads_each or params.threads or run.case.known_threads,
            device=run.case.device,
            batch_rows=params.batch_rows,
            notes=notes_folder(run),
            bind_gpu=run.bind_gpu if in_task and run.case.device == "gpu" else None,
        )
        check_columns(job, schema_of(run.train_paths[0]))
        make_folder(job.notes)
        run.at_end(lambda: remove_folder(job.notes))
        return job

    def predict(self, run: Context, loaded: Any) -> Written:
        """Writes the predictions. Raises OutputError if they cannot be written."""
        output = output_of(run)
        with output.all_or_nothing():
            job = self.written(run, loaded, output)
        run.at_end(output.remove)
        return Written(output, job)

    @abstractmethod
    def written(self, run: Context, loaded: Any, output: Output) -> Job:
        """Writes the predictions for the case's rows. Returns the job that wrote them."""


def output_of(run: Context) -> Output:
    """Returns the output of the execution. The caller must remove the output when the execution ends."""
    return Output(folder_of(run, PREDICTIONS))


def notes_folder(run: Context) -> str:
    """Returns the folder in which processes record loads of the model.

    The driver cannot ask the processes, because they may have ended when it counts the loads.
    """
    return folder_of(run, PREDICTIONS) + ".notes"


def check(run: Context) -> None:
    """Removes the files that interrupted executions of this case left. Runs before any clock starts."""
    sweep(run, PREDICTIONS)


def score(run: Context, written: Written) -> dict[str, float]:
    """Returns the largest difference from the reference over all rows, as the quality `difference`.

    Adds figures about the model, the loads of the model, and the bytes read and written.

    Raises InvalidResult if a row is missing, occurs twice or does not belong to the case. Also raises it if a
    prediction differs from the reference by more than the format's tolerance.
    """
    output, job = written.output, written.job
    if not output.is_complete:
        raise InvalidResult(f"The output {output.location} is not complete.")
    worst = difference(output.location, job.model.reference, run.case.rows)
    tolerance = job.format.tolerance * label_scale(run)
    if not worst <= tolerance:
        raise InvalidResult(
            f"A prediction differs from the reference by {worst:.3g}, and only {tolerance:.3g} is allowed."
        )
    loads = seconds_of_loads(job.notes)
    sizes = [info.size or 0 for info in files_below(output.location, ".parquet")]
    run.figure("model_bytes", job.model.bytes)
    run.figure("model_loads", len(loads))
    run.figure("model_load_seconds", sum(loads))
    run.figure("bytes_read", bytes_of(run.train_paths, {ROW, *run.data.features}))
    run.figure("bytes_written", sum(sizes))
    run.figure("files_written", len(sizes))
    return {"difference": worst}


def label_scale(run: Context) -> float:
    """Returns the unit of the format's tolerance, as a number by which the tolerance is multiplied.

    It is 1 for a classification. For a regression it is the standard deviation of the reference predictions, or 1
    if these are all equal.
    """
    if run.data.task == "classification" or run.model is None:
        return 1.0
    total = count = squares = 0.0
    for scores in columns_of(run.model.reference, [SCORE]):
        (values,) = scores
        total, squares, count = total + values.sum(), squares + (values**2).sum(), count + len(values)
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))) or 1.0


def difference(location: str, reference: str, rows: int) -> float:
    """Returns the largest absolute difference between a row's predictions in the output and in the reference.

    It is infinite if a prediction is not finite. Raises InvalidResult if the folders do not hold the same rows,
    each exactly once. `rows` is the number of rows.
    """
    parts = -(-rows // COMPARED_ROWS)
    worst = 0.0
    for part in range(parts):
        (row, score_), (expected_row, expected_score) = (
            _sorted(folder, part, parts) for folder in (location, reference)
        )
        if not np.array_equal(row, expected_row):
            missing = len(np.setdiff1d(expected_row, row))
            repeated = len(row) - len(np.unique(row))
            unknown = len(np.setdiff1d(row, expected_row))
            raise InvalidResult(
                f"The output does not hold each row exactly once: of {len(expected_row):,} rows compared, "
                f"{missing:,} are missing, {repeated:,} are repeated, {unknown:,} do not belong to the case."
            )
        distance = np.abs(score_ - expected_score)
        worst = max(worst, float(np.max(distance, initial=0.0)) if np.isfinite(distance).all() else np.inf)
    return worst


def _sorted(folder: str, part: int, parts: int) -> tuple[Array, Array]:
    """Returns the ids and the predictions of rows, in ascending order of the ids; shape (rows,).

    The result has only the rows with id % parts == part.
    """
    rows, scores = [np.empty(0, np.int64)], [np.empty(0)]
    for row, score_ in columns_of(folder, [ROW, SCORE]):
        chosen = row % parts == part
        rows.append(row[chosen])
        scores.append(score_[chosen])
    row, score_ = np.concatenate(rows), np.concatenate(scores)
    order = np.argsort(row, kind="stable")
    return row[order], score_[order]


def columns_of(folder: str, names: list[str]) -> Iterator[list[Array]]:
    """Yields the named columns as arrays of shape (rows,), for each row group of a folder's Parquet files."""
    system, _ = resolve(folder)
    for info in files_below(folder, ".parquet"):
        with pq.ParquetFile(info.path, filesystem=system) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=names)
                yield [table.column(name).to_numpy() for name in names]


def bytes_of(folders: list[str], names: set[str]) -> int:
    """Returns the compressed size in bytes of the columns with these names, as the Parquet footers state it."""
    total = 0
    for folder in folders:
        system, _ = resolve(folder)
        for info in files_below(folder, ".parquet"):
            with pq.ParquetFile(info.path, filesystem=system) as file:
                chunks = (
                    file.metadata.row_group(group).column(column)
                    for group in range(file.num_row_groups)
                    for column in range(file.metadata.num_columns)
                )
                total += sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema in names)
    return total


PREDICTED = Quality(score, {"classification": BY_DIFFERENCE, "regression": BY_DIFFERENCE}, (DIFFERENCE,), check=check)
