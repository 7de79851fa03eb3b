"""Takes a validation part from a case's training rows, by the same rule as the data set's hold-out.

A random fifth of the training rows' units is held out. If the data set's rule is `time`, the latest rows are held
out instead. Rows with the same time stay together, so the share of held-out rows may differ from a fifth. If a
split by time is not possible, units are held out. If there is only one unit, random single rows are held out. The
data set's hold-out is not used. One process makes the split, which is not timed and the same for every engine.
"""

import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sparkscale.contract.case import SLICES, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import (
    HOLDOUT_FOLDER,
    LABEL,
    ROW,
    TIME,
    UNIT,
    HoldoutRule,
    Moments,
    slice_folder,
)
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.location import join
from workloads.base import Params, Sample
from workloads.datasets.table_time import Times, nearest_cut
from workloads.datasets.training_slices import moments_of
from workloads.io.filesystem import RowGroup, read_parquet, resolve, row_groups
from workloads.quality.scoring import Array, log_loss, positions_of, rmse

VALIDATION_EVERY = 5
"""One unit in this many goes into the validation part."""
LOSSES: dict[Task, Callable[[Array, Array], float]] = {"classification": log_loss, "regression": rmse}


def validation_split(run: Context) -> Context:
    """Returns a context in which the training rows lack the validation part.

    In this context, the validation part takes the place of the hold-out. The training part and the validation part
    are in new Parquet files that every executor can read. The files are removed when the case ends.

    Raises DatasetError if there are fewer than two rows.
    """
    root = _folder(run)
    system, path = resolve(root)
    system.create_dir(path, recursive=True)
    run.at_end(lambda: system.delete_dir(path))
    (number,) = run.data.slices(1 / SLICES, run.case.sample_seed)
    labels: dict[str, list[Moments]] = {slice_folder(number): [], HOLDOUT_FOLDER: []}
    groups = row_groups(run.train_paths)
    is_held_out = validation_rule(run.data.holdout, groups)
    with ExitStack() as files:
        writers: dict[str, pq.ParquetWriter] = {}
        for group in groups:
            table = group.read(None)
            held_out = is_held_out(table)
            for folder, mask in zip(labels, (~held_out, held_out), strict=True):
                if folder not in writers:
                    system.create_dir(f"{path}/{folder}", recursive=True)
                    file = f"{path}/{folder}/part.parquet"
                    writers[folder] = files.enter_context(pq.ParquetWriter(file, table.schema, filesystem=system))
                part = table.filter(pa.array(mask))
                writers[folder].write_table(part)
                labels[folder].append(moments_of(part.column(LABEL).to_numpy()))
    train, holdout = map(Moments.total, labels.values())
    slices = [train if s == number else Moments.total([]) for s in range(SLICES)]
    data = run.data.model_copy(
        update={
            "root": root,
            "merged": {},
            "slice_rows": tuple(moments.rows for moments in slices),
            "slice_labels": tuple(slices),
            "holdout_rows": holdout.rows,
        }
    )
    run.made.append(data)
    return replace(run.with_case(fraction=1 / SLICES, rows=train.rows), data=data, figures={}, tables={})


def validation_rule(holdout: HoldoutRule, groups: list[RowGroup]) -> Callable[[pa.Table], Array]:
    """Returns a function that takes a table and returns a mask of the rows to hold out; shape (rows,).

    `groups` are the row groups of the training rows. Raises DatasetError if there are fewer than two rows.
    """
    if holdout == "time":
        times = np.concatenate([group.read([TIME]).column(TIME).to_numpy() for group in groups])
        first = nearest_cut(Times.of(times))
        if first is not None:
            return lambda table: np.asarray(table.column(TIME).to_numpy() >= first)
    for by in (UNIT, ROW):
        keys = np.unique(np.concatenate([np.unique(group.read([by]).column(by).to_numpy()) for group in groups]))
        if len(keys) > 1:
            order = np.argsort(hash_16_bits(keys), kind="stable")
            chosen = keys[order[: max(1, len(keys) // VALIDATION_EVERY)]]
            return lambda table, by=by, chosen=chosen: np.isin(table.column(by).to_numpy(), chosen)  # type: ignore[misc]
    raise DatasetError("A sample of one row leaves no row for validation: measure a larger fraction.")


def validation_loss(split: Context, engine: Any, part: Any) -> float:
    """Trains a model, and returns its loss on the validation part.

    `split` is the result of `validation_split`, and `part` the result of the engine's `load` for this split. A
    model that is no better than a constant is not an error, because this is normal for a small model.
    """
    scores = engine.predict(split, engine.fit(split, part))
    table = read_parquet([split.data.holdout_path], [ROW, LABEL]).sort_by(ROW)
    order = positions_of(table.column(ROW).to_numpy(), scores.row)
    return LOSSES[split.data.task](table.column(LABEL).to_numpy(), scores.score[order])


def with_params(run: Context, engine: Any, params: Params) -> Context:
    """Returns a copy of the context, with the arguments that the engine makes from `params`."""
    sample = Sample.of(run.data, run.case.rows, run.case.fraction, run.case.sample_seed)
    return run.with_case(params={**run.case.params, "arguments": engine.arguments(params, sample)})


def hash_16_bits(keys: Array) -> Array:
    """Returns a multiplicative hash of each key, with 16 bits (Knuth, TAOCP 3, 6.4)."""
    hashes: Array = keys.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32) // np.uint64(2**16)
    return hashes


def _folder(run: Context) -> str:
    """Returns the folder for the training part and the validation part.

    If all processes of the case run on this host, the folder is in the worker's temporary folder, which is removed
    even if the worker is killed. Otherwise it is on the storage that all hosts share.
    """
    near = run.case.placement == "node" or run.case.cluster_kind in ("local", "standalone", "emulated")
    return join(tempfile.gettempdir() if near else run.storage, f"tuning-{uuid4().hex}")
