"""Trains one group. Every engine calls the same function, so engines differ only in how rows reach it.

An error in a group becomes the outcome and the error of its row in the results: one bad group never fails the others.
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
"""The seconds after which a deadline that a trainer swallowed or deferred is raised again."""

IMPORTING = "<frozen importlib"
"""The beginning of the file name in code of Python's own import system."""


class GroupDeadline(BaseException):
    """A group took too long. Not an Exception, because trainers that catch every Exception must not catch this."""


class Unfit(Exception):
    """No model can be trained on this group; `outcome` is the reason."""

    def __init__(self, outcome: GroupOutcome, message: str) -> None:
        super().__init__(message)
        self.outcome: GroupOutcome = outcome


@dataclass(frozen=True)
class Rows:
    """One group's rows, in the order of their ids; shapes (rows, features) of float32 and (rows,)."""

    features: Array
    label: Array
    held_out: Array
    time: Array | None

    @classmethod
    def ordered(cls, row: Array, features: Array, label: Array, held_out: Array, when: Array | None) -> "Rows":
        """Sorts rows by id: a shuffle changes their order, and sums of floats depend on it."""
        if (row[1:] > row[:-1]).all():
            return cls(features, label, held_out, when)
        order = np.argsort(row)
        return cls(features[order], label[order], held_out[order], None if when is None else when[order])


class Split(NamedTuple):
    """The rows that a group's model is trained on, and those it is judged on; shapes (rows, columns) and (rows,)."""

    x: Array
    y: Array
    x_held_out: Array
    y_held_out: Array


@dataclass(frozen=True)
class Scale:
    """The mean and deviation that standardise each feature, from all training data; shapes (features,)."""

    mean: Array
    std: Array


class Trainer(ABC):
    """Trains a model for each group. It has no state: processes get its class and make an instance."""

    tasks: ClassVar[frozenset[Task]]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    needs_time: ClassVar[bool] = False
    uses_features: ClassVar[bool] = True
    """If false, it does not get the features, and no engine reads, shuffles or lays them out."""
    own_holdout: ClassVar[bool] = False
    """If true, it holds out rows of each group itself, whatever the data set does."""
    group_cost_rows: ClassVar[int] = 500
    """The fixed cost of a group, as a number of rows. Tasks are divided by rows plus this cost."""
    defaults: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def arguments(self, params: Any) -> dict[str, Any]:
        """Returns the workload's parameters as arguments of the library."""

    @abstractmethod
    def fit(self, job: "Job", x: Array, y: Array) -> Any:
        """Returns a trained model. Raises the library's own errors."""

    @abstractmethod
    def predict(self, job: "Job", model: Any, x: Array) -> Array:
        """Returns the label's expected value, or the probability of class 1; shape (rows,)."""

    @abstractmethod
    def pack(self, model: Any) -> bytes:
        """Returns the model as bytes, which `unpack` reads."""

    @abstractmethod
    def unpack(self, content: bytes) -> Any:
        """Returns the model that `pack` turned into bytes, ready to predict."""

    def split(self, job: "Job", rows: Rows) -> Split:  # noqa: ARG002
        """Splits by the data set's hold-out. Other trainers may raise Unfit for a group that cannot be split."""
        train = ~rows.held_out
        return Split(rows.features[train], rows.label[train], rows.features[rows.held_out], rows.label[rows.held_out])


@dataclass(frozen=True)
class Job:
    """All that training a group needs besides its rows. Picklable: it goes to every training process."""

    trainer: type[Trainer]
    task: Task
    device: Device
    arguments: dict[str, Any]
    features: tuple[str, ...]
    group: str
    """The column that holds the groups' codes."""
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
    """Binds the process to a GPU; None if it is bound already, or needs none."""


class Result(NamedTuple):
    """One group's row in the results that engines write. Seconds are wall-clock, errors are mean squared errors.

    `rows` and `holdout_rows` count the rows that the model was trained and judged on. `given_rows` and
    `given_holdout_rows` count the rows that reached the trainer. `seconds` are those of the library's fit alone,
    `busy_seconds` those of all work for the group. `task` numbers the pieces of work that could run at once: Spark
    partitions, or chunks of groups in joblib. `constant_squared_error` is the error of the training labels' mean.
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
    """Trains the model of one group and judges it on the group's hold-out.

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
    except DeviceError:  # fails the whole case: its other groups would run on the wrong device, too
        raise
    except Exception as problem:
        failure = "failed", brief(problem)
    else:
        busy = time.perf_counter() - began
        return Result(group, *model[:2], *given, "ok", None, *model[2:5], busy, task, *model[5:])
    return Result(group, *given, *given, *failure, None, None, None, time.perf_counter() - began, task, None, None)


def _fitted(job: Job, rows: Rows) -> tuple[int, int, float, float, float, int, bytes]:
    """Returns rows, held-out rows, squared error, the mean's squared error, seconds of the fit, model size and model.

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
    """Returns the model's bytes. Raises Unfit if they are too many, or if the model cannot be serialised."""
    try:
        content = trainer.pack(model)
    except Exception as problem:
        raise Unfit("failed", f"the model cannot be serialised: {brief(problem)}") from problem
    if len(content) > job.most_model_bytes:
        raise Unfit("model too large", f"{len(content):,} bytes; at most {job.most_model_bytes:,} are allowed")
    return content


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises GroupDeadline in the block if it takes longer. Uses the process's alarm, so only in the main thread.

    Python handles the signal when its interpreter runs again, so a library's C code is not interrupted. A trainer
    that swallows the exception gets it again every second.
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
    """Defers a deadline that passes in the block: it is raised within a second after the block.

    For C code that calls Python back: Python would handle the alarm there, and an exception raised there would leave
    the library in a broken state.
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
    """True during an import. An exception then would leave half a module, which all later groups would find."""
    while frame and not frame.f_code.co_filename.startswith(IMPORTING):
        frame = frame.f_back
    return frame is not None
