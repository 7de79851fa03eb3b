"""Inference in one process on one node."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

from sparkscale.contract.context import Context
from sparkscale.contract.dataset import ROW
from workloads.base import NodeEngine
from workloads.filesystem import row_groups
from workloads.inference.formats import Predictor
from workloads.inference.job import Job
from workloads.inference.output import Output
from workloads.inference.pattern import InferenceEngine

Item = TypeVar("Item")


class SingleProcess(InferenceEngine, NodeEngine):
    """One process, row group by row group, a thread for each core; the next row group is read meanwhile.

    Its predictions are the reference.
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


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each made by a thread while the one before is worked on."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(next, waiting, None)
        while (item := future.result()) is not None:
            future = thread.submit(next, waiting, None)
            yield item
