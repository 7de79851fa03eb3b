"""Inference on one node, in one process or in several processes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.base import NodeEngine
from workloads.inference.formats import Predictor
from workloads.inference.job import Job
from workloads.inference.output import Output
from workloads.inference.pattern import InferenceEngine
from workloads.inference.shares import even_shares, write_share
from workloads.io.filesystem import row_groups
from workloads.libraries.joblib_processes import joblib_processes

Item = TypeVar("Item")


class SingleProcess(InferenceEngine, NodeEngine):
    """One process with one thread for each core. While it predicts a row group, it reads the next one.

    Reference predictions are made in the same way.
    """

    name = "single-process"

    def load(self, run: Context) -> tuple[Job, Predictor]:
        job = self.job(run)
        return job, job.predictor()

    def written(self, run: Context, loaded: tuple[Job, Predictor], output: Output) -> Job:
        job, predictor = loaded
        output.begin()
        tables: Iterator[pa.Table] = (group.read([ROW, *run.data.features]) for group in row_groups(run.train_paths))
        if job.threads > 1:
            tables = ahead(tables)
        output.commit([output.write(job.predicted(predictor, table) for table in tables)])
        return job


class Joblib(InferenceEngine, NodeEngine):
    """Processes of joblib (loky) on one node, with one thread each.

    Every process reads, predicts and writes its share of the row groups. The shares are the same as in `parquet-map`.
    """

    name = "joblib"
    keeps_processes = True
    devices = frozenset({"cpu"})
    threads_each = 1

    def load(self, run: Context) -> Job:
        return self.job(run)

    def written(self, run: Context, loaded: Job, output: Output) -> Job:
        from joblib import delayed

        shares = even_shares(row_groups(run.train_paths), run.slots)
        output.begin()
        with joblib_processes(run.slots) as processes:
            output.commit(processes(delayed(write_share)(loaded, output, share) for share in shares))
        return loaded


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yields the items. While the caller works on one item, a thread computes the next one."""
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, source, None)
        while (item := future.result()) is not None:
            future = thread.submit(next, source, None)
            yield item
