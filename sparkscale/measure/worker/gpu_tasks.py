"""Runs tasks that hold GPUs for a while, to check which GPUs Spark's scheduler gives to each task."""

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict

from cluster.gpu import VISIBLE, Binding
from workloads.libraries.tasks import SparkTasks


class Holding(BaseModel):
    """The GPUs that one task held, as addresses. `began` and `ended` are times in Unix seconds.

    `visible` is the value of CUDA_VISIBLE_DEVICES while the task held the GPUs, and `visible_after` the value
    after that; None if the variable was not set. `process` is the id of the task's process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...]
    visible: str | None
    visible_after: str | None
    began: float
    ended: float
    process: int


def hold(bind: Callable[[], AbstractContextManager[tuple[str, ...]]], seconds: float, number: int) -> Holding:  # noqa: ARG001
    """Takes the GPUs of a task, holds them for `seconds`, and gives them back. Each task runs this function."""
    with bind() as addresses:
        began, visible = time.time(), os.environ.get(VISIBLE)
        time.sleep(seconds)
        ended = time.time()
    return Holding(
        addresses=addresses,
        visible=visible,
        visible_after=os.environ.get(VISIBLE),
        began=began,
        ended=ended,
        process=os.getpid(),
    )


def hold_all(spark: Any, tasks: int, seconds: float) -> list[Holding]:
    """Runs Spark tasks, each on the GPUs that Spark gives to it. Returns one Holding per task."""
    return SparkTasks(spark).map(partial(hold, Binding(), seconds), list(range(tasks)))


def overlapping(holdings: list[Holding]) -> list[tuple[Holding, Holding]]:
    """Returns the pairs of tasks that held the same GPU at the same time."""
    return [
        (first, second)
        for number, first in enumerate(holdings)
        for second in holdings[number + 1 :]
        if set(first.addresses) & set(second.addresses) and first.began < second.ended and second.began < first.ended
    ]
