"""The parameter set `tuned`: how many trees or epochs, chosen on a validation part of the training rows.

The same rule for every engine: a validation part is held out as `validation` does, capacity doubles from the least of
its range on, and the search ends with the range, or at the first step that does not lower the validation loss by
LEAST_GAIN. The best capacity is trained once more on all rows. All of it is time of `fit`, except the
split: one process makes it for every engine before any clock starts. Made inside `fit` it would charge a Spark engine
for the driver's reading and writing of all rows.
"""

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from sparkscale.contract.case import Capacity
from sparkscale.contract.context import Context
from workloads.base import Engine, Workload
from workloads.data_parallel.figures import CAPACITY
from workloads.quality.validation import validation_loss, validation_split, with_params

LEAST_GAIN = 0.001
"""Of the validation loss, for which doubling the capacity is worth while."""


class Tuned:
    """An engine whose `fit` searches its capacity first. Has the phases of the data-parallel pattern."""

    def __init__(self, engine: Engine, workload: Workload) -> None:
        self.engine: Any = engine
        self.workload = workload
        self.split: Context
        """Has the validation part as its hold-out, from `prepare` on."""

    def prepare(self, run: Context) -> None:
        self.engine.prepare(run)
        self.split = validation_split(run)

    def load(self, run: Context) -> Any:
        return self.engine.load(run)

    def fit(self, run: Context, train: Any) -> Any:
        capacity = Capacity.model_validate(run.case.params["capacity"])
        best, least = capacity.least, math.inf
        with ExitStack() as stack:
            split = replace(self.split, stack=stack)  # what its training keeps open goes before the last training
            part = self.engine.load(split)
            for value in capacity.steps():
                loss = validation_loss(self._with(split, capacity, value), self.engine, part)
                better, worth = loss < least, loss < least * (1 - LEAST_GAIN)
                if better:
                    best, least = value, loss
                if not worth:
                    break
        run.figure(CAPACITY.name, best)
        return self.engine.fit(self._with(run, capacity, best), train)

    def predict(self, run: Context, model: Any) -> Any:
        return self.engine.predict(run, model)

    def _with(self, run: Context, capacity: Capacity, value: int) -> Context:
        """The same execution with the arguments of this capacity."""
        given = {
            name: found for name, found in run.case.params.items() if name in type(self.workload.params).model_fields
        }
        params = type(self.workload.params).model_validate({**given, capacity.param: value})
        return with_params(run, self.engine, params)
