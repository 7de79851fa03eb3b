"""A validation part, cut from a case's training rows by the rule that its data set's hold-out has.

A fifth of the training rows' units is held out at random. If the hold-out is by time, the latest rows are held out,
as near to a fifth as whole times allow. Where there is one unit only, and no such cut, single rows are held out. The
hold-out itself is not touched. One process makes the split for every engine alike, outside every clock.
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
from workloads.quality.scoring import Array, in_order, log_loss, rmse

VALIDATION_EVERY = 5
"""One unit in so many is held out."""
LOSSES: dict[Task, Callable[[Array, Array], float]] = {"classification": log_loss, "regression": rmse}


def validation_split(run: Context) -> Context:
    """A context like the case's: it trains on a part of the case's training rows, and its hold-out is the validation
    part. Both lie in new Parquet files that every executor can read. The files are removed when the case ends.

    Raises DatasetError for fewer than two rows.
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
            for folder, chosen in zip(labels, (~held_out, held_out), strict=True):
                if folder not in writers:
                    system.create_dir(f"{path}/{folder}", recursive=True)
                    file = f"{path}/{folder}/part.parquet"
                    writers[folder] = files.enter_context(pq.ParquetWriter(file, table.schema, filesystem=system))
                part = table.filter(pa.array(chosen))
                writers[folder].write_table(part)
                labels[folder].append(moments_of(part.column(LABEL).to_numpy()))
    train, holdout = map(Moments.total, labels.values())
    slices = [train if s == number else Moments.total([]) for s in range(SLICES)]
    data = run.data.model_copy(
        update={
            "root": root,
            "merged": {},
            "slice_rows": tuple(found.rows for found in slices),
            "slice_labels": tuple(slices),
            "holdout_rows": holdout.rows,
        }
    )
    run.made.append(data)
    return replace(run.with_case(fraction=1 / SLICES, rows=train.rows), data=data, figures={}, tables={})


def validation_rule(holdout: HoldoutRule, groups: list[RowGroup]) -> Callable[[pa.Table], Array]:
    """Which rows of a table are held out, shape (rows,), by what the training rows hold.

    Raises DatasetError for fewer than two rows.
    """
    if holdout == "time":
        times = np.concatenate([group.read([TIME]).column(TIME).to_numpy() for group in groups])
        first = nearest_cut(Times.of(times))
        if first is not None:
            return lambda table: np.asarray(table.column(TIME).to_numpy() >= first)
    for by in (UNIT, ROW):
        keys = np.unique(np.concatenate([np.unique(group.read([by]).column(by).to_numpy()) for group in groups]))
        if len(keys) > 1:
            order = np.argsort(mixed(keys), kind="stable")
            chosen = keys[order[: max(1, len(keys) // VALIDATION_EVERY)]]
            return lambda table, by=by, chosen=chosen: np.isin(table.column(by).to_numpy(), chosen)  # type: ignore[misc]
    raise DatasetError("A sample of one row has none to hold out for tuning: measure a larger fraction.")


def validation_loss(split: Context, engine: Any, part: Any) -> float:
    """Of a model that the engine trains on its training rows. A small model may be no better than a constant."""
    found = engine.predict(split, engine.fit(split, part))
    table = read_parquet([split.data.holdout_path], [ROW, LABEL]).sort_by(ROW)
    order = in_order(found.row, table.column(ROW).to_numpy())
    return LOSSES[split.data.task](table.column(LABEL).to_numpy(), found.score[order])


def with_params(run: Context, engine: Any, params: Params) -> Context:
    """The same execution with these parameters, in the engine's words."""
    sample = Sample.of(run.data, run.case.rows, run.case.fraction, run.case.sample_seed)
    words = {**run.case.params, "arguments": engine.arguments(params, sample)}
    return run.with_case(params=words)


def mixed(keys: Array) -> Array:
    """A multiplicative hash (Knuth, TAOCP 3, 6.4), of 16 bits."""
    found: Array = keys.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32) // np.uint64(2**16)
    return found


def _folder(run: Context) -> str:
    """Where the parts go: on this host into the worker's own scratch, which goes with it however it ends."""
    near = run.case.placement == "node" or run.case.cluster_kind in ("local", "standalone")
    return join(tempfile.gettempdir() if near else run.storage, f"tuning-{uuid4().hex}")
