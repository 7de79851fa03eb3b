"""A trial: one configuration trained on the training part and judged on the validation part."""

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
    """All that the trials of one case need, wherever they run. Picklable.

    `run` has no session; its case has the threads of one trial. `data` names the Arrow files of the training and the
    validation part, LABEL and the features, where they lie on the host of the trial.
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
    """Where a process must bind the GPU of its Spark task."""


class Answer(NamedTuple):
    """What a trial's process says. `began` and `ended` are its host's time.time(); `copy` names the copy of the data
    that it read, `peak_bytes` are of its own process.
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
    """A row of the table of trials. `start` and `end` are seconds since the search began, by the clock of the host
    where the trial ran; `told` is when the driver knew its loss, by its own. `dispatch_seconds` is None where nobody
    says when it was asked for. One that failed has an infinite loss.
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
        """Its parameters, which it holds as JSON."""
        found: Parameters = json.loads(self.parameters)
        return found


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
"""Of `Trial`."""


def trial_of(
    number: int, parameters: dict[str, Any], answer: Answer, asked: float | None, told: float, began: float
) -> Trial:
    """The row, from when the driver asked for the trial (None: nobody says) and was told, and the search began: all
    of time.time().

    What lies between asking and being told, and is not the trial itself, is its dispatch.
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
    """Rows of TRIAL, in the order of their numbers."""
    rows = [trial._asdict() for trial in sorted(trials, key=lambda trial: trial.number)]
    return pa.Table.from_pylist(rows, schema=TRIAL)


def train_and_judge(job: Job, values: dict[str, Any], train: pa.Table, validation: pa.Table) -> float:
    """The loss on the validation part. Raises whatever the library does; ValueError for a loss that is no number."""
    engine: Any = job.engine()
    run = with_params(job.run, engine, job.params.changed(values))
    model = engine.fit(run, engine.prepared(run, train))
    loss = LOSSES[run.data.task](validation.column(LABEL).to_numpy(), engine.scored(run, model, validation))
    if not math.isfinite(loss):
        raise ValueError(f"the validation loss is {loss}")
    return loss


def failed(outcome: TrialOutcome, error: str, began: float, where: str, copy: str = "") -> Answer:
    return Answer(math.inf, outcome, error, began, time.time(), where, copy, None)
