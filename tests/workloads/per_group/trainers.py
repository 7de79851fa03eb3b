"""Trainers that go wrong on purpose, in the processes that engines start: they are imported there by name."""

import time
from typing import Any

import numpy as np

from workloads.base import Workload
from workloads.per_group.engines import engines_for
from workloads.per_group.pattern import GROUPED, PER_GROUP, GroupParams
from workloads.per_group.ridge import Ridge
from workloads.per_group.training import Array, Job

RAISING, HANGING, UNSERIALISABLE, LARGE = 3, 5, 7, 9
"""Codes of the groups in which something goes wrong; a trainer knows a group by its mean label only."""


class Faulty(Ridge):
    """A ridge that raises, hangs, or makes a model that cannot be written, by what the labels say."""

    def arguments(self, params: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"alpha": 1.0}

    def fit(self, job: Job, x: Array, y: Array) -> Array:
        code = round(float(y.min()) / 1000)
        if code == RAISING:
            raise ZeroDivisionError("made to fail")
        while code == HANGING:
            try:
                time.sleep(0.01)
            except Exception:  # as a careless trainer would: a deadline must come through it
                continue
        model = super().fit(job, x, y)
        return np.full(3, np.nan) if code == UNSERIALISABLE else model.repeat(10_000) if code == LARGE else model

    def predict(self, job: Job, model: Array, x: Array) -> Array:
        return np.zeros(len(x)) if len(model) != x.shape[1] + 1 else super().predict(job, model, x)

    def pack(self, model: Array) -> bytes:
        if np.isnan(model).all():
            raise TypeError("cannot pickle a lock")
        return super().pack(model)


WORKLOAD = Workload(
    name="per_group.faulty",
    summary="A ridge that fails in some groups",
    pattern=PER_GROUP,
    quality=GROUPED,
    params=GroupParams(deadline_seconds=1.0, most_model_bytes=100_000),
    engines=engines_for(Faulty),
)
