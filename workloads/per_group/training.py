"""Trains one group: the function that every engine calls, so that they differ in how rows reach it and nothing else.

Whatever goes wrong in a group becomes its row's outcome and error: one bad group never fails the others.
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
"""A deadline that a trainer swallowed or deferred is raised again after so long."""

IMPORTING = "<frozen importlib"
"""How the code of Python's own import system calls its file."""


class GroupDeadline(BaseException):
    """A group took too long. No Exception, for a trainer that catches all of those must not catch this one."""


class Unfit(Exception):
    """A group that no model can be trained on; `outcome` says why."""

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
        """From rows in any order: a shuffle keeps none, and sums of floats depend on it."""
        if (row[1:] > row[:-1]).all():
            return cls(features, label, held_out, when)
        order = np.argsort(row)
        return cls(features[order], label[order], held_out[order], None if when is None else when[order])


class Split(NamedTuple):
    """What a group's model is trained on and judged on: (rows, columns) and (rows,), twice."""

    x: Array
    y: Array
    x_held_out: Array
    y_held_out: Array


@dataclass(frozen=True)
class Scale:
    """By which a feature is standardised: the whole training data's mean and deviation; shapes (features,)."""

    mean: Array
    std: Array


class Trainer(ABC):
    """What is trained for each group. Has no state: it is named by its class in every process."""

    tasks: ClassVar[frozenset[Task]]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    needs_time: ClassVar[bool] = False
    uses_features: ClassVar[bool] = True
    """Whether it is given the features: else nobody reads, shuffles or lays them out."""
    own_holdout: ClassVar[bool] = False
    """Whether it holds rows of each group out itself, whatever the data set does."""
    group_cost_rows: ClassVar[int] = 500
    """What a group costs beside its rows, in rows: tasks are made even by it."""
    defaults: ClassVar[Mapping[str, Any]]

    @abstractmethod
    def arguments(self, params: Any) -> dict[str, Any]:
        """The workload's parameters in the library's own words."""

    @abstractmethod
    def fit(self, job: "Job", x: Array, y: Array) -> Any:
        """A model. Raises whatever its library does."""

    @abstractmethod
    def predict(self, job: "Job", model: Any, x: Array) -> Array:
        """Shape (rows,): the label's expected value, or the probability of class 1."""

    @abstractmethod
    def pack(self, model: Any) -> bytes:
        """The model as bytes, which `unpack` reads."""

    @abstractmethod
    def unpack(self, content: bytes) -> Any:
        """What `pack` wrote, ready to predict."""

    def split(self, job: "Job", rows: Rows) -> Split:  # noqa: ARG002
        """By the data set's hold-out. Raises Unfit for a group that cannot be split."""
        kept = ~rows.held_out
        return Split(rows.features[kept], rows.label[kept], rows.features[rows.held_out], rows.label[rows.held_out])


@dataclass(frozen=True)
class Job:
    """All that training a group needs beside its rows. Picklable: it goes to every process that trains."""

    trainer: type[Trainer]
    task: Task
    device: Device
    arguments: dict[str, Any]
    features: tuple[str, ...]
    group: str
    """The column of the groups' codes."""
    has_time: bool
    scale: Scale
    seed: int
    threads: int
    min_rows: int
    deadline_seconds: float
    most_model_bytes: int
    gpu: int = 0
    """Which of the GPUs that this process sees."""
    bind_gpu: Bind | None = None
    """In a process that is not bound to a GPU yet."""


class Result(NamedTuple):
    """One group's row; the columns of what engines write. Seconds are wall-clock, errors mean squared.

    `rows` and `holdout_rows` are those that its model was trained and judged on, `given_rows` and
    `given_holdout_rows` those that reached it. `seconds` are of the library's fit alone, `busy_seconds` of all that
    was done for the group. `task` tells apart what could run at once: a Spark partition, a chunk of processes.
    `constant_squared_error` is that of the mean of the training labels.
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
    """The model of one group, and how good it is on the group's hold-out."""
    began = time.perf_counter()
    held = int(rows.held_out.sum())
    given = len(rows.label) - held, held
    try:
        bound_to_gpu(job.bind_gpu)
        with deadline(job.deadline_seconds):
            model = _fitted(job, rows)
    except Unfit as problem:
        failure: tuple[GroupOutcome, str] = problem.outcome, str(problem)
    except GroupDeadline:
        signal.setitimer(signal.ITIMER_REAL, 0)  # it may have come while the block was being left
        failure = "timeout", f"no model within {job.deadline_seconds:g} s"
    except DeviceError:  # of the whole case: its other groups would not run where they should, either
        raise
    except Exception as problem:
        failure = "failed", brief(problem)
    else:
        busy = time.perf_counter() - began
        return Result(group, *model[:2], *given, "ok", None, *model[2:5], busy, task, *model[5:])
    return Result(group, *given, *given, *failure, None, None, None, time.perf_counter() - began, task, None, None)


def _fitted(job: Job, rows: Rows) -> tuple[int, int, float, float, float, int, bytes]:
    """Rows, held-out rows, squared error, the mean's squared error, seconds of the fit, the model's size and bytes.

    Raises Unfit, and whatever the trainer does.
    """
    if len(rows.label) < job.min_rows:
        raise Unfit("too small", f"{len(rows.label)} rows, and {job.min_rows} are the least")
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
        raise ValueError("a prediction is no finite number")
    content = packed(job, trainer, model)
    constant = mean_square(y.mean() - y_held_out)
    return len(y), len(y_held_out), squared_error, constant, seconds, len(content), content


def mean_square(values: Array) -> float:
    return float(values @ values) / len(values)


def packed(job: Job, trainer: Trainer, model: Any) -> bytes:
    """The model's bytes. Raises Unfit when they are too many, or when there are none to be had."""
    try:
        content = trainer.pack(model)
    except Exception as problem:
        raise Unfit("failed", f"the model cannot be serialised: {brief(problem)}") from problem
    if len(content) > job.most_model_bytes:
        raise Unfit("model too large", f"{len(content):,} bytes, and {job.most_model_bytes:,} are the most")
    return content


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raises GroupDeadline in the block when it takes longer, by the process's alarm: in its main thread only.

    The signal is seen when the interpreter runs again, so a library's own C code is not interrupted; a trainer that
    swallows it gets it again every second.
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
    """A deadline that passes in the block is raised within a second after it: around C code that calls Python back,
    for the alarm would be seen there, and an exception from there leaves such code in pieces.
    """
    global _calls_back  # noqa: PLW0603 - of the process, as the alarm is
    _calls_back = True
    try:
        yield
    finally:
        _calls_back = False


def _expired(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if not _calls_back and not _imports(frame):
        raise GroupDeadline


def _imports(frame: FrameType | None) -> bool:
    """Whether an import is under way: an exception would leave half a module, which all later groups would find."""
    while frame and not frame.f_code.co_filename.startswith(IMPORTING):
        frame = frame.f_back
    return frame is not None
