"""Engines on Spark and on one node that write rows by group to Parquet files once, and then train from them."""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from sparkscale.contract.context import Context
from workloads.io.filesystem import make_folder, remove_folder
from workloads.libraries.joblib_processes import joblib_processes
from workloads.libraries.tasks import SparkTasks
from workloads.per_group import results
from workloads.per_group.groups import Groups
from workloads.per_group.layout import Piece, plan, read_bucket
from workloads.per_group.node import OnNode
from workloads.per_group.pattern import GroupEngine, case_groups, job_of
from workloads.per_group.spark import OnSpark
from workloads.per_group.training import Job, train_group

Loaded = tuple[Job, list[list[Piece]]]
"""The job that tasks get, and the pieces of each bucket (see the module `layout`)."""


class LaidOut(GroupEngine):
    """Base of engines that lay rows out by group in separate tasks (see the module `layout`).

    After that, each task reads one bucket of groups with PyArrow, trains the groups, and writes their models.
    """

    lays_out = True
    keeps_processes = True

    @abstractmethod
    def job(self, run: Context, groups: Groups) -> Job:
        """Returns the job that tasks get. Each task has one thread."""

    @abstractmethod
    def in_tasks(self, run: Context, function: Callable[[int], Any], count: int) -> list[Any]:
        """Calls the function for the numbers 0 … count - 1, several at once. Returns the results in this order."""

    def layout(self, run: Context) -> list[list[Piece]]:
        """Writes the layout. Returns the pieces of each bucket, which are row groups of files (see `Piece`).

        The largest bucket comes first, so that the task that trains it starts first.
        """
        groups = case_groups(run)
        folder = results.layout_folder(run)
        planned = plan(run, self.job(run, groups), groups, folder)
        run.at_end(lambda: remove_folder(folder))
        make_folder(folder)
        buckets: dict[int, list[Piece]] = defaultdict(list)
        for pieces in self.in_tasks(run, planned.lay_out, len(planned.shares)):
            for bucket, piece in pieces:
                buckets[bucket].append(piece)
        return sorted(buckets.values(), key=lambda pieces: -sum(piece.rows for piece in pieces))

    def load(self, run: Context, layout: list[list[Piece]]) -> Loaded:
        return self.job(run, case_groups(run)), layout

    def fit(self, run: Context, loaded: Loaded) -> str:
        job, buckets = loaded
        models, folder = results.models_folder(run), results.layout_folder(run)

        def train(number: int) -> str:
            block = read_bucket(job, folder, buckets[number])
            trained = (train_group(job, code, rows, number) for code, rows in block.groups())
            return results.write(models, number, trained)

        results.begin(models)
        results.commit(models, self.in_tasks(run, train, len(buckets)))
        return models


class ParquetGroups(OnSpark, LaidOut):
    """Spark tasks lay rows out by group once; then each task reads some groups with PyArrow and trains them.

    See the module `layout`. Tasks also write the models, so no row passes through the JVM.
    """

    name = "parquet-groups"

    def in_tasks(self, run: Context, function: Callable[[int], Any], count: int) -> list[Any]:
        outcomes: list[Any] = SparkTasks(run.spark).map(function, range(count))
        return outcomes


class JoblibLaidOut(OnNode, LaidOut):
    """The same as `parquet-groups`, but in joblib's processes on one node, with one thread each, without Spark."""

    name = "joblib-laid-out"
    devices = frozenset({"cpu"})

    def job(self, run: Context, groups: Groups) -> Job:
        return job_of(run, self.trainer, groups.grouping, 1, in_task=False)

    def in_tasks(self, run: Context, function: Callable[[int], Any], count: int) -> list[Any]:
        from joblib import delayed

        with joblib_processes(run.slots) as processes:
            return list(processes(delayed(function)(number) for number in range(count)))
