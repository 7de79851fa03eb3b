"""The parameter set `tuned`: how many trees or epochs, chosen on a validation part of the training rows.

The same rule for every engine: a fifth of the training rows' units is held out at random (single rows where there is
but one unit, as in data held out by time), capacity doubles from the least of its range on, and the search ends with
the range, or at the first step that does not lower the validation loss by LEAST_GAIN. The best capacity is trained
once more on all rows. All of it is time of `fit`.
"""

import math
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.case import SLICES
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import HOLDOUT_FOLDER, LABEL, ROW, UNIT, slice_folder
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.location import join
from workloads.base import Capacity, Engine, Sample, Workload
from workloads.filesystem import RowGroup, read_parquet, resolve, row_groups
from workloads.scoring import Array, in_order, log_loss, rmse

VALIDATION_EVERY = 5
"""One unit in so many is held out."""
LEAST_GAIN = 0.001
"""Of the validation loss, for which doubling the capacity is worth while."""
LOSSES = {"classification": log_loss, "regression": rmse}


class Tuned:
    """An engine whose `fit` searches its capacity first. Has the phases of the data-parallel pattern."""

    def __init__(self, engine: Engine, workload: Workload) -> None:
        self.engine: Any = engine
        self.workload = workload

    def load(self, run: Context) -> Any:
        return self.engine.load(run)

    def fit(self, run: Context, train: Any) -> Any:
        capacity = Capacity.model_validate(run.case.params["capacity"])
        best, least = capacity.least, math.inf
        with ExitStack() as stack:
            split = self._split(run, stack)
            part = self.engine.load(split)
            for value in capacity.steps():
                loss = self._loss(self._with(split, capacity, value), part)
                better, worth = loss < least, loss < least * (1 - LEAST_GAIN)
                if better:
                    best, least = value, loss
                if not worth:
                    break
        run.figure("capacity", best)
        return self.engine.fit(self._with(run, capacity, best), train)

    def predict(self, run: Context, model: Any) -> Any:
        return self.engine.predict(run, model)

    def _loss(self, run: Context, part: Any) -> float:
        """On the validation rows; of a small model it may be no better than a constant's."""
        found = self.engine.predict(run, self.engine.fit(run, part))
        table = read_parquet([run.data.holdout_path], [ROW, LABEL]).sort_by(ROW)
        order = in_order(found.row, table.column(ROW).to_numpy())
        return LOSSES[run.data.task](table.column(LABEL).to_numpy(), found.score[order])

    def _with(self, run: Context, capacity: Capacity, value: int) -> Context:
        """The same execution with the arguments of this capacity."""
        given = {
            name: found for name, found in run.case.params.items() if name in type(self.workload.params).model_fields
        }
        params = type(self.workload.params).model_validate({**given, capacity.param: value})
        sample = Sample(run.data.task, run.case.rows, len(run.data.columns))
        words = {**run.case.params, "arguments": self.engine.arguments(params, sample)}
        return replace(run, case=run.case.model_copy(update={"params": words}))

    def _split(self, run: Context, stack: ExitStack) -> Context:
        """A context whose training rows are part of the case's, and whose hold-out is the rest; both lie in Parquet
        files of their own, which every executor can read.
        """
        data = run.data.model_copy(update={"root": _folder(run), "merged": {}})
        system, path = resolve(data.root)
        system.create_dir(path, recursive=True)
        stack.callback(system.delete_dir, path)
        (number,) = data.slices(1 / SLICES, run.case.sample_seed)
        rows = dict.fromkeys((slice_folder(number), HOLDOUT_FOLDER), 0)
        groups = row_groups(run.train_paths)
        by, chosen_keys = validation_keys(groups)
        with ExitStack() as files:
            writers: dict[str, pq.ParquetWriter] = {}
            for group in groups:
                table = group.read(None)
                held_out = np.isin(table.column(by).to_numpy(), chosen_keys)
                for folder, chosen in zip(rows, (~held_out, held_out), strict=True):
                    if folder not in writers:
                        system.create_dir(f"{path}/{folder}", recursive=True)
                        file = f"{path}/{folder}/part.parquet"
                        writers[folder] = files.enter_context(pq.ParquetWriter(file, table.schema, filesystem=system))
                    writers[folder].write_table(table.filter(pa.array(chosen)))
                    rows[folder] += int(chosen.sum())
        case = run.case.model_copy(update={"fraction": 1 / SLICES, "rows": rows[slice_folder(number)]})
        return replace(run, case=case, data=data, figures={}, tables={}, stack=stack)


def _folder(run: Context) -> str:
    """Where the parts go: on this host into the worker's own scratch, which goes with it however it ends."""
    near = run.case.placement == "node" or run.case.cluster_kind in ("local", "standalone")
    return join(tempfile.gettempdir() if near else run.storage, f"tuning-{uuid4().hex}")


def validation_keys(groups: list[RowGroup]) -> tuple[str, Array]:
    """The column that tells which rows are held out, and its values that are: of the units a fifth, or else of rows.

    Raises DatasetError for fewer than two rows.
    """
    for by in (UNIT, ROW):
        keys = np.unique(np.concatenate([np.unique(group.read([by]).column(by).to_numpy()) for group in groups]))
        if len(keys) > 1:
            order = np.argsort(mixed(keys), kind="stable")
            return by, keys[order[: max(1, len(keys) // VALIDATION_EVERY)]]
    raise DatasetError("A sample of one row has none to hold out for tuning: measure a larger fraction.")


def mixed(keys: Array) -> Array:
    """A multiplicative hash (Knuth, TAOCP 3, 6.4), of 16 bits."""
    found: Array = keys.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32) // np.uint64(2**16)
    return found
