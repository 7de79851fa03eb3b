"""Trials. Each trains one configuration on the training part, and judges it on the validation part."""

import json
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL
from workloads.base import Params
from workloads.data_parallel.pattern import InMemory
from workloads.quality.validation import LOSSES, with_params
from workloads.tuning.space import Parameters

TrialOutcome = Literal["ok", "failed", "timeout", "oom"]


@dataclass(frozen=True)
class Job:
    """Everything that the trials of one case need, on any host. Can be pickled.

    `run` has no Spark session, and its case states the number of threads of one trial. `data` holds the paths of two
    Arrow files on the trial's host: the training part and the validation part. The files have LABEL and the features.
    """

    id: str
    engine: type[InMemory]
    params: Params
    run: Context
    data: tuple[str, str]
    imports: tuple[str, ...]
    deadline_seconds: float
    most_bytes: int
    bind_gpu: Callable[[], AbstractContextManager[tuple[str, ...]]] | None = None
    """Binds the process to the GPU of its Spark task. None if trials run on CPUs or outside of Spark."""


class TrialResult(NamedTuple):
    """The result of a trial. `began` and `ended` are times of time.time() on the trial's host.

    `where` names the process that ran the trial. `copy` names the copy of the data that the trial read; empty if
    the trial read no file. `peak_bytes` is the peak memory of the trial's process; None if it is not known.
    """

    loss: float
    outcome: TrialOutcome
    error: str | None
    began: float
    ended: float
    where: str
    copy: str
    peak_bytes: int | None


class Trial(NamedTuple):
    """A row in the table of trials. The loss of a failed trial is infinite.

    `start`, `end` and `told` are seconds since the search began. `start` and `end` are measured with the clock of
    the host where the trial ran. `told` is the time when the driver learned the loss, measured with the driver's
    clock. `dispatch_seconds` is the time from the driver's request to the loss, without the trial's own time. It
    is None if the time of the request is not known.
    """

    number: int
    parameters: str
    start: float
    end: float
    told: float
    dispatch_seconds: float | None
    where: str
    copy: str
    loss: float
    outcome: TrialOutcome
    error: str | None
    peak_bytes: int | None

    @property
    def configuration(self) -> Parameters:
        """The parameters of the trial, read from the JSON in the field `parameters`."""
        values: Parameters = json.loads(self.parameters)
        return values


TRIAL = pa.schema(
    [
        ("number", pa.int32()),
        ("parameters", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("told", pa.float64()),
        ("dispatch_seconds", pa.float64()),
        ("where", pa.string()),
        ("copy", pa.string()),
        ("loss", pa.float64()),
        ("outcome", pa.string()),
        ("error", pa.string()),
        ("peak_bytes", pa.int64()),
    ]
)
"""The schema of `Trial`."""


def trial_of(
    number: int, parameters: dict[str, Any], result: TrialResult, asked: float | None, told: float, began: float
) -> Trial:
    """Returns the row of a trial.

    `asked` is the time when the driver asked for the trial (None if not known). `told` is the time when the driver
    got the result. `began` is the time when the search began. All are times of time.time().
    """
    return Trial(
        number,
        json.dumps(parameters),
        result.began - began,
        result.ended - began,
        told - began,
        None if asked is None else max(0.0, (told - asked) - (result.ended - result.began)),
        result.where,
        result.copy,
        result.loss,
        result.outcome,
        result.error,
        result.peak_bytes,
    )


def table_of(trials: list[Trial]) -> pa.Table:
    """Returns a table with one row for each trial (schema TRIAL), in the order of the trials' numbers."""
    rows = [trial._asdict() for trial in sorted(trials, key=lambda trial: trial.number)]
    return pa.Table.from_pylist(rows, schema=TRIAL)


def train_and_judge(job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table) -> float:
    """Trains a model, and returns the model's loss on the validation part. `values` are the searched parameters.

    Raises the library's own errors, and ValueError if the loss is not a finite number.
    """
    engine: Any = job.engine()
    run = with_params(job.run, engine, job.params.changed(values))
    model = engine.fit(run, engine.prepared(run, train))
    loss = LOSSES[run.data.task](validation.column(LABEL).to_numpy(), engine.scored(run, model, validation))
    if not math.isfinite(loss):
        raise ValueError(f"the validation loss is {loss}")
    return loss


def failed(outcome: TrialOutcome, error: str, began: float, where: str, copy: str = "") -> TrialResult:
    """Returns the result of a failed trial. Its end is the present time, and its loss is infinite."""
    return TrialResult(math.inf, outcome, error, began, time.time(), where, copy, None)
