"""Trains the model of one group. All engines call the same function, and differ only in how they bring rows to it.

If the training of a group raises an error, the group's row in the results gets the error and an outcome. So one
bad group never stops other groups.
"""

import math
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from sparkscale.contract.case import Device, Task
from sparkscale.contract.errors import DeviceError
from sparkscale.contract.phrases import brief
from workloads.libraries.tasks import Bind, bound_to_gpu

Array = np.ndarray[Any, Any]

GroupOutcome = Literal["ok", "too small", "one class", "failed", "timeout", "model too large", "refused"]

RETRY_SECONDS = 1.0
"""If a trainer swallows or defers a deadline, the deadline is raised again after this many seconds."""

IMPORTING = "<frozen importlib"
"""The file names of Python's own import system begin with this text."""


class GroupDeadline(BaseException):
    """Raised if a group takes too long.

    The base class is not Exception, so a trainer that catches every Exception does not catch this one.
    """


class Unfit(Exception):
    """Raised if no model can be trained on a group. `outcome` is the reason."""

    def __init__(self, outcome: GroupOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: GroupOutcome = outcome


@dataclass(frozen=True)
class Rows:
    """The rows of one group, in the order of their ids.

    `features` has the shape (rows, features), float32. All other arrays have the shape (rows,). `time` is None if
    the data has no time column.
    """

    features: Array
    label: Array
    held_out: Array
    time: Array | None

    @classmethod
    def ordered(cls, row: Array, features: Array, label: Array, held_out: Array, when: Array | None) -> "Rows":
        """Returns the rows sorted by the ids in `row`.

        A shuffle changes the order of rows, and sums of floats depend on the order.
        """
        if (row[1:] > row[:-1]).all():
            return cls(features, label, held_out, when)
        order = np.argsort(row)
        return cls(features[order], label[order], held_out[order], None if when is None else when[order])


class Split(NamedTuple):
    """The training rows and the hold-out rows of a group; shapes (rows, columns) for `x`, and (rows,) for `y`."""

    x: Array
    y: Array
    x_held_out: Array
    y_held_out: Array


@dataclass(frozen=True)
class Scale:
    """The mean and the standard deviation of each feature over all training data; shapes (features,)."""

    mean: Array
    std: Array


class Trainer(ABC):
    """Trains a model for each group. It has no state, because processes get only its class and make an instance."""

    tasks: ClassVar[frozenset[Task]]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    needs_time: ClassVar[bool] = False
    uses_features: ClassVar[bool] = True
    """If false, the trainer does not need the features, so no engine reads, shuffles or lays them out."""
    own_holdout: ClassVar[bool] = False
    """If true, the trainer itself chooses each group's hold-out rows, and the data set's hold-out is not used."""
    group_cost_rows: ClassVar[int] = 500
    """The fixed cost of a group, expressed as a number of rows. Groups are divided so that all tasks have about the
    same sum of rows and fixed costs."""
    defaults: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def arguments(self, params: Any) -> dict[str, Any]:
        """Returns the workload's parameters as arguments of the library."""

    @abstractmethod
    def fit(self, job: "Job", x: Array, y: Array) -> Any:
        """Returns a trained model. Raises the library's own errors."""

    @abstractmethod
    def predict(self, job: "Job", model: Any, x: Array) -> Array:
        """Returns the predictions: the label's expected value, or the probability of class 1; shape (rows,)."""

    @abstractmethod
    def pack(self, model: Any) -> bytes:
        """Returns the model as bytes, which `unpack` reads."""

    @abstractmethod
    def unpack(self, content: bytes) -> Any:
        """Returns the model that `pack` turned into bytes, ready to predict."""

    def split(self, job: "Job", rows: Rows) -> Split:  # noqa: ARG002
        """Splits a group's rows by the data set's hold-out.

        A subclass may split in another way, and raise Unfit if a group cannot be split.
        """
        train = ~rows.held_out
        return Split(rows.features[train], rows.label[train], rows.features[rows.held_out], rows.label[rows.held_out])


@dataclass(frozen=True)
class Job:
    """Everything that the training of a group needs besides the group's rows.

    A job can be pickled, and is sent to all processes.
    """

    trainer: type[Trainer]
    task: Task
    device: Device
    arguments: dict[str, Any]
    features: tuple[str, ...]
    group: str
    """The column with the groups' codes."""
    has_time: bool
    scale: Scale
    seed: int
    threads: int
    min_rows: int
    deadline_seconds: float
    most_model_bytes: int
    gpu: int = 0
    """The number of the GPU, among those that the process sees."""
    bind_gpu: Bind | None = None
    """Binds the process to a GPU. None if the process is already bound to a GPU, or needs none."""


class Result(NamedTuple):
    """The row of one group in the results. Seconds are wall-clock time, and squared errors are mean values.

    `rows` and `holdout_rows` are the numbers of rows on which the model was trained and judged. `given_rows` and
    `given_holdout_rows` are the numbers of rows that the trainer got. `seconds` is the time of the library's fit
    alone. `busy_seconds` is the time of all work for the group. `task` is the number of the piece of work that
    contained the group: a Spark partition, or a chunk of groups in joblib. `constant_squared_error` is the error
    if the mean of the training labels is predicted.
    """

    group: int
    rows: int
    holdout_rows: int
    given_rows: int
    given_holdout_rows: int
    outcome: GroupOutcome
    error: str | None
    squared_error: float | None
    constant_squared_error: float | None
    seconds: float | None
    busy_seconds: float
    task: int
    model_bytes: int | None
    model: bytes | None


def train_group(job: Job, group: int, rows: Rows, task: int) -> Result:
    """Trains the model of one group and judges it on the group's hold-out. `task` is as in `Result`.

    An error becomes the outcome of the result. Only DeviceError is raised.
    """
    began = time.perf_counter()
    held_out_rows = int(rows.held_out.sum())
    given = len(rows.label) - held_out_rows, held_out_rows
    try:
        bound_to_gpu(job.bind_gpu)
        with deadline(job.deadline_seconds):
            model = _fitted(job, rows)
    except Unfit as problem:
        failure: tuple[GroupOutcome, str] = problem.outcome, str(problem)
    except GroupDeadline:
        signal.setitimer(signal.ITIMER_REAL, 0)  # the alarm may have come while `deadline` was leaving its block
        failure = "timeout", f"no model within {job.deadline_seconds:g} s"
    except DeviceError:  # fails the whole case, because other groups would also run on the wrong device
        raise
    except Exception as problem:
        failure = "failed", brief(problem)
    else:
        busy = time.perf_counter() - began
        return Result(group, *model[:2], *given, "ok", None, *model[2:5], busy, task, *model[5:])
    return Result(group, *given, *given, *failure, None, None, None, time.perf_counter() - began, task, None, None)


def _fitted(job: Job, rows: Rows) -> tuple[int, int, float, float, float, int, bytes]:
    """Trains and judges the model of one group, and returns fields of its Result.

    These are the numbers of training and hold-out rows, the squared error, the squared error of the mean, the seconds
    of the fit, the size of the model, and the model.

    Raises Unfit, and the trainer's own errors.
    """
    if len(rows.label) < job.min_rows:
        raise Unfit("too small", f"{len(rows.label)} rows; at least {job.min_rows} are needed")
    trainer = job.trainer()
    x, y, x_held_out, y_held_out = trainer.split(job, rows)
    if not len(y) or not len(y_held_out):
        raise Unfit("too small", "no rows to train on" if len(y_held_out) else "no rows are held out")
    if job.task == "classification" and y.min() == y.max():
        raise Unfit("one class", f"all {len(y)} training rows are of class {y[0]:g}")
    started = time.perf_counter()
    model = trainer.fit(job, x, y)
    seconds = time.perf_counter() - started
    squared_error = mean_square(trainer.predict(job, model, x_held_out) - y_held_out)
    if not math.isfinite(squared_error):
        raise ValueError("a prediction is not a finite number")
    content = packed(job, trainer, model)
    constant = mean_square(y.mean() - y_held_out)
    return len(y), len(y_held_out), squared_error, constant, seconds, len(content), content


def mean_square(values: Array) -> float:
    return float(values @ values) / len(values)


def packed(job: Job, trainer: Trainer, model: Any) -> bytes:
    """Returns the model as bytes. Raises Unfit if there are too many bytes, or if the model cannot be serialised."""
    try:
        content = trainer.pack(model)
    except Exception as problem:
        raise Unfit("failed", f"the model cannot be serialised: {brief(problem)}") from problem
    if len(content) > job.most_model_bytes:
        raise Unfit("model too large", f"{len(content):,} bytes; at most {job.most_model_bytes:,} are allowed")
    return content


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises GroupDeadline in the `with` block if the block takes longer than `seconds`.

    Only the main thread can use this function, because the function needs the process's alarm. Python handles the
    alarm only when its interpreter runs again, so a library's C code is not interrupted. If a trainer swallows the
    exception, it is raised again every second.
    """
    if signal.getsignal(signal.SIGALRM) is not _expired:
        signal.signal(signal.SIGALRM, _expired)
    signal.setitimer(signal.ITIMER_REAL, seconds, RETRY_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


_calls_back = False


@contextmanager
def deadline_deferred() -> Iterator[None]:
    """Defers a deadline that passes in the `with` block: GroupDeadline is raised within a second after the block.

    Use this around C code that calls Python functions. Python would handle the alarm in such a function, and an
    exception there would leave the library in a broken state.
    """
    global _calls_back  # noqa: PLW0603 - one value for the process, like the alarm
    _calls_back = True
    try:
        yield
    finally:
        _calls_back = False


def _expired(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if not _calls_back and not _is_importing(frame):
        raise GroupDeadline


def _is_importing(frame: FrameType | None) -> bool:
    """True if the code of `frame` runs during an import.

    An exception during an import would leave a half-loaded module, and the training of later groups would fail.
    """
    while frame and not frame.f_code.co_filename.startswith(IMPORTING):
        frame = frame.f_back
    return frame is not None
