"""Runs one generator of `sparkscale bench-data` in its own process: makes a table, writes it, prints the result.

The process is started as `python -m sparkscale.measure.worker.generation JOB`. JOB is a `Job` as a JSON object,
and the process prints a `GenerationResult` as a JSON object.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from cluster import profile, session
from cluster.budget import budget
from cluster.endpoint import existing
from workloads.datasets.tabular import Classification
from workloads.libraries.tasks import Processes, SparkTasks, Tasks, silent

Contender = Literal["sparkscale on Spark", "sparkscale without Spark", "Spark SQL", "scikit-learn"]

WARM_UP_ROWS = 20_000


class Job(BaseModel):
    """The table to make. If `memory` is true, the peak memory of a task is measured, but the time is not valid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contender: Contender
    rows: int
    columns: int
    folder: Path
    memory: bool = False


class GenerationResult(BaseModel):
    """The seconds and the written bytes. `task_peak_bytes` is the peak memory of a task; None if not requested."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float
    bytes: int
    task_peak_bytes: int | None = None


Make = Callable[[int, Path], int | None]
"""A function that makes a table. The arguments are the number of rows and the folder for the files.

It returns the peak memory of a task in bytes, or None if the memory is not measured.
"""


def run(job: Job) -> GenerationResult:
    """Makes a small table without timing it, and then the timed table. Returns the result for the timed table.

    Imports, compilation and the start of Python workers happen with the small table, so they are not timed.
    """
    with tempfile.TemporaryDirectory(dir=job.folder) as folder, _maker(job, Path(folder)) as make:
        make(WARM_UP_ROWS, Path(folder) / "warm-up")
        started = time.perf_counter()
        peak = make(job.rows, Path(folder) / "timed")
        seconds = time.perf_counter() - started
        written = sum(file.stat().st_size for file in (Path(folder) / "timed").rglob("*.parquet"))
    return GenerationResult(seconds=seconds, bytes=written, task_peak_bytes=peak)


@contextmanager
def _maker(job: Job, folder: Path) -> Iterator[Make]:
    """Yields the function with which the job's generator makes tables."""
    cores = budget(profile.load("local")).cores
    if job.contender == "scikit-learn":
        yield lambda rows, target: _scikit_learn(rows, job.columns, target)
    elif job.contender == "sparkscale without Spark":
        yield lambda rows, target: _ours(rows, job, target, Processes(cores))
    else:
        with _session(folder) as spark:
            if job.contender == "Spark SQL":
                yield lambda rows, target: _spark_sql(spark, rows, job.columns, target)
            else:
                yield lambda rows, target: _ours(rows, job, target, SparkTasks(spark))


@contextmanager
def _session(folder: Path) -> Iterator[Any]:
    local = profile.load("local")
    runtime = session.start(local, budget(local), existing(local), threads=1, device="cpu", scratch=folder / "spark")
    try:
        yield runtime.spark
    finally:
        runtime.stop()


def _ours(rows: int, job: Job, target: Path, tasks: Tasks) -> int | None:
    """Makes a complete data set of sparkscale: with labels, slices, hold-out, manifest and ceilings.

    Returns the peak memory of a task in bytes if the job asks for it, otherwise None.
    """
    source = Classification(rows=rows, features=job.columns, categorical=0)
    if job.memory:
        target.mkdir(parents=True)
        return source.build(str(target), tasks, silent).peak_bytes
    source.prepare(str(target), tasks)
    return None


def _spark_sql(spark: Any, rows: int, columns: int, target: Path) -> None:
    from pyspark.sql.functions import rand, randn

    values = [randn(seed).cast("float").alias(f"x_{seed:03d}") for seed in range(columns)]
    label = (rand(columns) < 0.3).cast("tinyint").alias("label")
    spark.range(rows).select("id", label, *values).write.option("compression", "none").parquet(str(target))


def _scikit_learn(rows: int, columns: int, target: Path) -> None:
    import numpy as np
    import pandas as pd
    from sklearn.datasets import make_classification

    informative, redundant, _, _ = Classification(rows=1000, features=columns, categorical=0).counts
    x, y = make_classification(
        rows, columns, n_informative=informative, n_redundant=redundant, weights=[0.7], flip_y=0.02, random_state=0
    )
    table = pd.DataFrame(x.astype(np.float32), columns=[f"x_{number:03d}" for number in range(columns)])
    table.insert(0, "label", y.astype(np.int8))
    target.mkdir(parents=True)
    table.to_parquet(target / "part-0.parquet", compression=None, index=False)


if __name__ == "__main__":
    sys.stdout.write(run(Job.model_validate_json(sys.argv[1])).model_dump_json() + "\n")
