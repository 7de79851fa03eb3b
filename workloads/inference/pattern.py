"""The inference pattern: what its cases are given, where they write, and how what they wrote is checked."""

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
"""So many rows are compared at once: what they need of memory does not grow with their number."""


class InferenceParams(ModelParams):
    """What every workload of the pattern has. `model` holds the parameters of the model, which is trained once, on
    `train_fraction` of the training rows.
    """

    train_fraction: float = Field(default=1 / 16, gt=0, le=1)
    batch_rows: int = Field(default=10_000, ge=1)
    """Of a batch of Arrow: what a function of Python is given at once."""
    threads: int = Field(default=0, ge=0)
    """Of `single-process`; 0: one for each core."""

    @field_validator("train_fraction")
    @classmethod
    def _is_a_fraction(cls, value: float) -> float:
        if fraction_slices(value) not in {2**j for j in range(7)}:
            raise ValueError(f"{value} is no power of two between 1/64 and 1")
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
    fixed_seeds=True,  # the model and its reference predictions are made once, and no case is judged by its model
    report="inference",
    figures=FIGURES,
    warms_each_slot=True,
)


@dataclass(frozen=True)
class Written:
    """What a case has written."""

    output: Output
    job: Job


class InferenceEngine(ModelEngine):
    """An engine of this pattern: a way in which rows reach a model. `made_for` binds it to one.

    `load` is the model's and the session's side, `predict` reads Parquet and writes Parquet.
    """

    format: ClassVar[type[Format]]
    package: ClassVar[str]
    """Whose release decides what the model's files hold."""
    devices = CPU_AND_GPU
    model_placement: ClassVar[Placement | None] = "node"
    threads_each: ClassVar[int] = 0
    """Of each process that predicts; 0: what the case says."""

    @classmethod
    def made_for(cls, form: type[Format], kind: type[InferenceParams]) -> "type[InferenceEngine]":
        """The same engine with a workload's models."""
        model, package = cls.maker(form)
        return cls.specialised(model, format=form, kind=kind, model=model, package=package)

    @classmethod
    def maker(cls, form: type[Format]) -> tuple[type[Engine], str]:
        """What makes its models where others have them in this format, and the package of that."""
        return form.trainer, form.package

    def prepared_model(self, run: Context) -> PreparedModel:
        params = self.params(run)
        training = training_of(run, self.model, params.model, params.train_fraction)
        model = prepare_model(training, self.model, self.package, lambda root: self.build(training, root))
        reference, content_hash = prepare_reference(run, model, lambda: self.reference(run, model))
        return model.model_copy(update={"reference": reference, "reference_hash": content_hash})

    def build(self, training: Context, root: str) -> dict[str, str]:
        """Trains, and writes the model's files below `root`; returns the SHA-256 of those that it knows."""
        trainer: Any = self.model()
        content = self.format().dumped(trainer.fit(training, trainer.load(training)))
        return {self.format.file: write_file(root, self.format.file, content)}

    def reference(self, run: Context, model: PreparedModel) -> Scored:
        """The model's predictions by one process, without Spark."""
        return load(self.format(), model, run.data, run.case.threads, "cpu").scores

    def job(self, run: Context) -> Job:
        """Raises ModelError for rows that the model was not trained for."""
        model = run.model
        assert model is not None
        params, in_task = self.params(run), self.placement == "spark"
        found = Job(
            id=uuid4().hex,
            format=self.format,
            model=model,
            data=run.data,
            threads=1 if in_task else self.threads_each or params.threads or run.case.threads,
            device=run.case.device,
            batch_rows=params.batch_rows,
            notes=notes_folder(run),
            bind_gpu=run.bind_gpu if in_task and run.case.device == "gpu" else None,
        )
        check_columns(found, schema_of(run.train_paths[0]))
        make_folder(found.notes)
        run.at_end(lambda: remove_folder(found.notes))
        return found

    def predict(self, run: Context, loaded: Any) -> Written:
        """Raises OutputError when it cannot be written."""
        output = output_of(run)
        with output.whole():
            job = self.written(run, loaded, output)
        run.at_end(output.remove)
        return Written(output, job)

    @abstractmethod
    def written(self, run: Context, loaded: Any, output: Output) -> Job:
        """Writes the predictions of the case's rows."""


def output_of(run: Context) -> Output:
    """Where an execution writes; removed when it ends."""
    return Output(folder_of(run, PREDICTIONS))


def notes_folder(run: Context) -> str:
    """Where processes note what an execution cannot ask them."""
    return folder_of(run, PREDICTIONS) + ".notes"


def check(run: Context) -> None:
    """Before the clock starts: what an execution of this case has left that was cut off is removed."""
    sweep(run, PREDICTIONS)


def score(run: Context, written: Written) -> dict[str, float]:
    """The greatest difference from the reference, over all rows; adds the figures of reading, writing and loading.

    Raises InvalidResult when a row is missing, there twice or none of the case, or differs by more than the format's
    tolerance.
    """
    output, job = written.output, written.job
    if not output.is_complete:
        raise InvalidResult(f"The output {output.location} is not complete.")
    worst = difference(output.location, job.model.reference, run.case.rows)
    tolerance = job.format.tolerance * label_scale(run)
    if not worst <= tolerance:
        raise InvalidResult(
            f"A prediction differs by {worst:.3g} from the reference, and {tolerance:.3g} is allowed."
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
    """What a difference is measured in: 1 for probabilities, the label's deviation in the reference otherwise."""
    if run.data.task == "classification" or run.model is None:
        return 1.0
    total = count = squares = 0.0
    for scores in columns_of(run.model.reference, [SCORE]):
        (values,) = scores
        total, squares, count = total + values.sum(), squares + (values**2).sum(), count + len(values)
    return float(np.sqrt(max(squares / count - (total / count) ** 2, 0.0))) or 1.0


def difference(location: str, reference: str, rows: int) -> float:
    """The greatest absolute difference of two folders' scores, row by row on the row id.

    Raises InvalidResult when they do not hold the same rows, each once.
    """
    parts = -(-rows // COMPARED_ROWS)
    worst = 0.0
    for part in range(parts):
        found, wanted = (_sorted(folder, part, parts) for folder in (location, reference))
        if not np.array_equal(found[0], wanted[0]):
            missing = len(np.setdiff1d(wanted[0], found[0]))
            twice = len(found[0]) - len(np.unique(found[0]))
            strange = len(np.setdiff1d(found[0], wanted[0]))
            raise InvalidResult(
                f"The output does not hold each row exactly once: of {len(wanted[0]):,} looked at, {missing:,} are "
                f"missing, {twice:,} are there again, {strange:,} are no rows of the case."
            )
        distance = np.abs(found[1] - wanted[1])
        worst = max(worst, float(np.max(distance, initial=0.0)) if np.isfinite(distance).all() else np.inf)
    return worst


def _sorted(folder: str, part: int, parts: int) -> tuple[Array, Array]:
    """Row ids, ascending, and scores, of every `parts`-th row."""
    rows, scores = [np.empty(0, np.int64)], [np.empty(0)]
    for row, score_ in columns_of(folder, [ROW, SCORE]):
        chosen = row % parts == part
        rows.append(row[chosen])
        scores.append(score_[chosen])
    row, score_ = np.concatenate(rows), np.concatenate(scores)
    order = np.argsort(row, kind="stable")
    return row[order], score_[order]


def columns_of(folder: str, names: list[str]) -> Iterator[list[Array]]:
    """Of each row group of a folder's Parquet files."""
    system, _ = resolve(folder)
    for info in files_below(folder, ".parquet"):
        with pq.ParquetFile(info.path, filesystem=system) as file:
            for number in range(file.num_row_groups):
                table = file.read_row_group(number, columns=names)
                yield [table.column(name).to_numpy() for name in names]


def bytes_of(folders: list[str], names: set[str]) -> int:
    """Compressed bytes of these columns, by the footers of the Parquet files: what must be read of them."""
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
