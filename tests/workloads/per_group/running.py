"""Runs a case of the pattern as a worker does, without its clock."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.session import SparkRuntime
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.record import GROUPS
from workloads.base import Params, Workload

Runs = Callable[..., Context]


def ran(
    runs: Runs,
    workload: Workload,
    engine: str,
    on: PreparedDataset,
    storage: Path,
    spark: SparkRuntime | None = None,
    params: Params | None = None,
    fraction: float = 1,
    **fields: Any,
) -> tuple[Context, pa.Table, dict[str, float]]:
    """The context, its table of groups, and the quality."""
    run = runs(workload, workload.engine(engine), fraction, params, spark=spark, on=on)
    run.storage = str(storage)
    for name, value in fields.items():
        setattr(run, name, value)
    made: Any = workload.create_engine(engine, "aligned")
    workload.quality.check(run)
    folder = made.fit(run, made.load(run, made.layout(run)))
    quality = workload.quality.score(run, folder)
    return run, run.tables[GROUPS], quality
