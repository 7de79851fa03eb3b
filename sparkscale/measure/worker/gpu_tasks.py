"""Tasks that hold GPUs for a while, to see whom Spark's scheduler gives which."""

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
    """One task that held GPUs: which, what CUDA_VISIBLE_DEVICES said inside and after, from when to when (Unix s)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    addresses: tuple[str, ...]
    visible: str | None
    visible_after: str | None
    began: float
    ended: float
    process: int


def hold(bind: Callable[[], AbstractContextManager[tuple[str, ...]]], seconds: float, number: int) -> Holding:  # noqa: ARG001
    """What a task does: takes its GPU, keeps it for a while, hands it back."""
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
    """So many tasks, each on the GPU that Spark gives it."""
    return SparkTasks(spark).map(partial(hold, Binding(), seconds), list(range(tasks)))


def shared(found: list[Holding]) -> list[tuple[Holding, Holding]]:
    """Pairs of tasks that held one GPU at the same time."""
    return [
        (one, other)
        for number, one in enumerate(found)
        for other in found[number + 1 :]
        if set(one.addresses) & set(other.addresses) and one.began < other.ended and other.began < one.ended
    ]
