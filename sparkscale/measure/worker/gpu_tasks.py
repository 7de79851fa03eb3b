"""Tasks that hold GPUs for a while, to check which GPUs Spark's scheduler gives to which task."""

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
    """One task and the GPUs that it held: their addresses, and the start and end as Unix seconds.

    `visible` and `visible_after` are the values of CUDA_VISIBLE_DEVICES while it held them and after.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...]
    visible: str | None
    visible_after: str | None
    began: float
    ended: float
    process: int


def hold(bind: Callable[[], AbstractContextManager[tuple[str, ...]]], seconds: float, number: int) -> Holding:  # noqa: ARG001
    """The body of a task: takes its GPU, holds it for `seconds`, and gives it back."""
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
    """Runs `tasks` tasks, each on the GPU that Spark gives it."""
    return SparkTasks(spark).map(partial(hold, Binding(), seconds), list(range(tasks)))


def overlapping(holdings: list[Holding]) -> list[tuple[Holding, Holding]]:
    """Returns the pairs of tasks that held the same GPU at the same time."""
    return [
        (first, second)
        for number, first in enumerate(holdings)
        for second in holdings[number + 1 :]
        if set(first.addresses) & set(second.addresses) and first.began < second.ended and second.began < first.ended
    ]
