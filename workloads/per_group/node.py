"""Engines on one node: one process that trains one group after the other, and several processes of joblib."""

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from sparkscale.contract.context import Context
from workloads.base import NodeEngine
from workloads.libraries.joblib_processes import joblib_processes
from workloads.per_group import results
from workloads.per_group.group_rows import Block, feature_matrix, read_groups, rows_of_frame
from workloads.per_group.groups import even_spans
from workloads.per_group.pattern import GroupEngine, case_groups, job_of
from workloads.per_group.training import Job, train_group

if TYPE_CHECKING:
    import pandas as pd

CHUNKS_PER_PROCESS = 8
"""Each process gets several chunks of groups, so that no process waits long for the last chunk. The number is
small because each chunk must be sent to a process."""


class OnNode(GroupEngine, NodeEngine):
    """Base of engines on one node."""


class PandasLoop(OnNode):
    """One process that trains the groups of a pandas groupby one after the other. Each model may use all cores."""

    name = "pandas-loop"

    def load(self, run: Context, layout: None) -> tuple[Job, "pd.DataFrame"]:  # noqa: ARG002
        groups = case_groups(run)
        job = job_of(run, self.trainer, groups.grouping, run.case.known_threads, in_task=False)
        return job, read_groups(run, job, groups).to_pandas()

    def fit(self, run: Context, loaded: tuple[Job, "pd.DataFrame"]) -> str:
        job, frame = loaded
        folder = results.models_folder(run)
        results.begin(folder)
        trained = (
            train_group(job, cast(int, code), rows_of_frame(job, group), 0)
            for code, group in frame.groupby(job.group, sort=False)
        )
        results.commit(folder, [results.write(folder, 0, trained)])
        return folder


class Joblib(OnNode):
    """Processes of joblib (loky) on one node, with one thread each.

    `load` sorts the rows by group, and the processes read them from one memory-mapped file. A process gets chunks
    of consecutive groups. All chunks take about the same time.
    """

    name = "joblib"
    keeps_processes = True

    def load(self, run: Context, layout: None) -> tuple[Job, Block]:  # noqa: ARG002
        groups = case_groups(run)
        job = job_of(run, self.trainer, groups.grouping, 1, in_task=False)
        table = read_groups(run, job, groups).combine_chunks()
        return job, Block.of(job, table, feature_matrix(job, table))

    def fit(self, run: Context, loaded: tuple[Job, Block]) -> str:
        from joblib import delayed

        job, block = loaded
        folder = results.models_folder(run)
        results.begin(folder)
        spans = even_spans(np.diff(block.starts) + self.trainer.group_cost_rows, run.slots * CHUNKS_PER_PROCESS)
        with joblib_processes(run.slots) as processes:
            names = processes(
                delayed(train_span)(replace(job, gpu=number % max(1, run.gpus)), block, first, last, folder, number)
                for number, (first, last) in enumerate(spans)
            )
        results.commit(folder, names)
        return folder


def train_span(job: Job, block: Block, first: int, last: int, folder: str, number: int) -> str:
    """Trains the groups from number `first` to `last` - 1 of the block, and writes their results.

    Returns the name of the file. Runs in a joblib process.
    """
    trained = (train_group(job, code, rows, number) for code, rows in block.groups(first, last))
    return results.write(folder, number, trained)
