"""Trials: each trains one configuration on the training part and judges it on the validation part."""

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
    """All that the trials of one case need, on any host. Picklable.

    `run` has no session; its case has the threads of one trial. `data` are the paths, on the host of the trial, of
    the Arrow files of the training and the validation part. The files have LABEL and the features.
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
    """Binds the GPU of a Spark task to its process; None if that is not needed."""


class Answer(NamedTuple):
    """The result of a trial. `began` and `ended` are time.time() on its host.

    `copy` names the copy of the data that it read. `peak_bytes` is the peak of its process; None if it is not known.
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
    """A row of the table of trials. A failed trial has an infinite loss.

    `start` and `end` are seconds since the search began, by the clock of the host where the trial ran. `told` is when
    the driver learned its loss, by the driver's clock. `dispatch_seconds` is None if it is not known when the driver
    asked for the trial.
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
        """The parameters, read from the JSON in the field `parameters`."""
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
    number: int, parameters: dict[str, Any], answer: Answer, asked: float | None, told: float, began: float
) -> Trial:
    """Returns the row of a trial.

    `asked` is when the driver asked for the trial (None if not known), `told` when it got the answer, and `began`
    when the search began; all are time.time(). The dispatch is the time from asking to the answer, without the trial.
    """
    return Trial(
        number,
        json.dumps(parameters),
        answer.began - began,
        answer.ended - began,
        told - began,
        None if asked is None else max(0.0, (told - asked) - (answer.ended - answer.began)),
        answer.where,
        answer.copy,
        answer.loss,
        answer.outcome,
        answer.error,
        answer.peak_bytes,
    )


def table_of(trials: list[Trial]) -> pa.Table:
    """Returns rows of TRIAL, in the order of their numbers."""
    rows = [trial._asdict() for trial in sorted(trials, key=lambda trial: trial.number)]
    return pa.Table.from_pylist(rows, schema=TRIAL)


def train_and_judge(job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table) -> float:
    """Trains, and returns the loss on the validation part.

    Raises the library's own errors, and ValueError if the loss is not a finite number.
    """
    engine: Any = job.engine()
    run = with_params(job.run, engine, job.params.changed(values))
    model = engine.fit(run, engine.prepared(run, train))
    loss = LOSSES[run.data.task](validation.column(LABEL).to_numpy(), engine.scored(run, model, validation))
    if not math.isfinite(loss):
        raise ValueError(f"the validation loss is {loss}")
    return loss


def failed(outcome: TrialOutcome, error: str, began: float, where: str, copy: str = "") -> Answer:
    """Returns the answer of a trial that failed: it ends now, with an infinite loss."""
    return Answer(math.inf, outcome, error, began, time.time(), where, copy, None)
