"""The parameter set `tuned`, which chooses the capacity of a model on a validation part of the training rows.

The capacity is the number of trees or epochs. The rule is the same for every engine. The module `validation`
splits off the validation part. The search starts with the smallest capacity of the range and doubles it in each
step. The search ends at the end of the range, or at the first step that does not lower the validation loss by at
least the share LEAST_GAIN. Then a model with the best capacity is trained on all rows. The search and this
training are timed as part of `fit`. The split is not timed: one process makes it for every engine before any clock
starts. If `fit` made the split, the driver of a Spark engine would have to read and write all rows.
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
"""The search goes on if doubling the capacity lowers the validation loss by at least this share."""


class Tuned:
    """A data-parallel engine that wraps another engine. Its `fit` searches for the best capacity before it trains."""

    def __init__(self, engine: Engine, workload: Workload) -> None:
        self.engine: Any = engine
        self.workload = workload
        self.split: Context
        """The context of the search, in which the validation part is the hold-out. `prepare` sets it."""

    def prepare(self, run: Context) -> None:
        self.engine.prepare(run)
        self.split = validation_split(run)

    def load(self, run: Context) -> Any:
        return self.engine.load(run)

    def fit(self, run: Context, train: Any) -> Any:
        capacity = Capacity.model_validate(run.case.params["capacity"])
        best, least_loss = capacity.least, math.inf
        with ExitStack() as stack:
            # the resources of the search are released before the last training
            split = replace(self.split, stack=stack)
            validation_input = self.engine.load(split)
            for value in capacity.steps():
                loss = validation_loss(self._with(split, capacity, value), self.engine, validation_input)
                is_better, is_worth_it = loss < least_loss, loss < least_loss * (1 - LEAST_GAIN)
                if is_better:
                    best, least_loss = value, loss
                if not is_worth_it:
                    break
        run.figure(CAPACITY.name, best)
        return self.engine.fit(self._with(run, capacity, best), train)

    def predict(self, run: Context, model: Any) -> Any:
        return self.engine.predict(run, model)

    def _with(self, run: Context, capacity: Capacity, value: int) -> Context:
        """Returns a copy of the context, with the arguments for the capacity `value`."""
        fields = type(self.workload.params).model_fields
        stated = {name: stated_value for name, stated_value in run.case.params.items() if name in fields}
        params = type(self.workload.params).model_validate({**stated, capacity.param: value})
        return with_params(run, self.engine, params)
