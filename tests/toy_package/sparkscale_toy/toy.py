"""A workload that misbehaves on request: it sleeps, raises, leaks memory, forks, ignores signals, prints."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import numpy as np

from sparkscale.contract.case import Device, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import LABEL, ROW
from workloads.base import Engine, NodeEngine, Params, Quality, Sample, SparkEngine, Workload
from workloads.data_parallel.pattern import DATA_PARALLEL, SUPERVISED
from workloads.io.filesystem import read_parquet
from workloads.libraries.joblib_processes import joblib_processes
from workloads.libraries.tasks import SparkTasks
from workloads.quality.scoring import Scores, score_holdout

MIB = 2**20
_leaked: list[np.ndarray[Any, Any]] = []


class ToyParams(Params):
    """What the engine `toy` does wrong; `bystander` does the same work and nothing wrong."""

    marker: str = ""
    """A file into which `fit` writes its process id when it begins."""
    seconds: float = 0.0
    """How long `fit` sleeps."""
    seconds_before: float = 0.0
    """How long the checks before the first phase take."""
    seconds_of_scoring: float = 0.0
    memory_mib: int = 0
    """Memory that `fit` fills and gives back."""
    leaked_mib: int = 0
    """Memory that each `fit` fills and keeps."""
    error: str = ""
    """`fit` raises a RuntimeError with this message."""
    children: int = 0
    """Processes that `fit` starts and does not end."""
    processes: int = 0
    """Processes of joblib, with an array in shared memory, and on Spark as many tasks, which `fit` keeps busy for
    `seconds`. Each writes its process id into a file of its own beside the marker when it begins."""
    task_threads: int = 1
    """Cores for each Spark task, so that cases need different sessions."""
    cpus: str = ""
    """A file to which `fit` appends a line: its process id, the case's threads, the number of CPUs on which it may
    run, and the number of threads that OpenMP may start."""
    ignores_signals: bool = False
    """If true, `fit` ignores SIGTERM and SIGINT from then on."""
    output: str = ""
    """`fit` prints this to stdout and stderr."""
    task_seconds: float = 0.0
    """How long each Spark task of `toy-executors` sleeps. First it writes the worker's process id to the marker."""
    task_memory_mib: int = 0
    """Memory that each Spark task of `toy-executors` fills."""


class Toy(Engine):
    """Predicts the mean label, after what its parameters say."""

    tasks: ClassVar[frozenset[Task]] = frozenset({"regression"})
    defaults = {"seconds": 0.0}

    def arguments(self, params: ToyParams, sample: Sample) -> dict[str, Any]:  # noqa: ARG002
        return {"seconds": params.seconds}

    def prepare(self, run: Context) -> None:
        time.sleep(self.told(run).seconds_before)

    def told(self, run: Context) -> ToyParams:
        """The parameters of the case."""
        return ToyParams.model_validate({name: run.case.params[name] for name in ToyParams.model_fields})

    def load(self, run: Context) -> Any:
        return read_parquet(run.train_paths, [LABEL]).column(LABEL).to_numpy()

    def fit(self, run: Context, labels: Any) -> float:
        params = self.told(run)
        misbehave(params)
        if params.cpus:
            with Path(params.cpus).open("a") as file:
                numbers = (os.getpid(), run.case.threads, len(os.sched_getaffinity(0)), os.environ["OMP_NUM_THREADS"])
                file.write(" ".join(map(str, numbers)) + "\n")
        return float(labels.mean())

    def predict(self, run: Context, value: float) -> Scores:
        rows = read_parquet([run.data.holdout_path], [ROW]).column(ROW).to_numpy()
        return Scores(row=rows, score=np.full(len(rows), value))


class ToyOnNode(Toy, NodeEngine):
    """The toy in a worker without Spark."""

    name = "toy"


class ToyOnSpark(Toy, SparkEngine):
    """The toy in a worker with a Spark session."""

    name = "toy-spark"

    @classmethod
    def task_threads(cls, params: Any, device: Device, executor_cores: int) -> int:  # noqa: ARG003
        return min(int(params.task_threads), executor_cores)

    def load(self, run: Context) -> Any:
        rows = run.spark.read.parquet(*run.train_paths).select(LABEL).collect()
        return np.array([row[0] for row in rows])

    def fit(self, run: Context, labels: Any) -> float:
        params = self.told(run)
        if params.processes:
            numbers = run.spark.sparkContext.parallelize(range(params.processes), params.processes)
            Thread(target=numbers.foreach, args=[partial(stay, params, "task")], daemon=True).start()
        return super().fit(run, labels)


class ToyInTasks(ToyOnSpark):
    """The toy that also has work for Spark's Python workers, which live on for its next execution."""

    name = "toy-tasks"
    keeps_processes = True

    def fit(self, run: Context, labels: Any) -> float:
        counted = run.spark.sparkContext.parallelize(range(run.slots), run.slots).map(lambda number: number + 1)
        return super().fit(run, labels[: counted.sum()])


class ToyOnExecutors(ToyOnSpark):
    """The toy that lets every slot compute and write to a shuffle first."""

    name = "toy-executors"
    keeps_processes = True

    def fit(self, run: Context, labels: Any) -> float:
        params = self.told(run)
        use_executors(run, params.marker if params.task_seconds else "", params.task_seconds, params.task_memory_mib)
        return super().fit(run, labels)


class Bystander(ToyOnNode):
    """A case that does nothing wrong, beside one that does."""

    name = "bystander"

    def told(self, run: Context) -> ToyParams:  # noqa: ARG002
        return ToyParams()


def use_executors(run: Context, marker: str, seconds: float, memory_mib: int) -> None:
    """Runs a Spark task per slot. Executors do not have this module, so the task is pickled by value."""
    worker = os.getpid()

    def task(_: int) -> None:
        filled = np.ones(memory_mib * 2**20, np.uint8)
        if marker:
            Path(marker).write_text(str(worker))
        time.sleep(seconds)
        del filled

    SparkTasks(run.spark).map(task, range(run.slots))
    run.spark.range(100).selectExpr("id % 7 AS key").groupBy("key").count().collect()


def misbehave(params: ToyParams) -> None:
    """Does what the parameters say."""
    if params.ignores_signals:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    for _ in range(params.children):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    if params.processes:
        keep_busy(params)
    if params.output:
        print(params.output, flush=True)  # noqa: T201
        print(params.output, file=sys.stderr, flush=True)  # noqa: T201
    if params.leaked_mib:
        _leaked.append(np.ones(params.leaked_mib * MIB, np.uint8))
    filled = np.ones(params.memory_mib * MIB, np.uint8)
    if params.marker:
        Path(params.marker).write_text(str(os.getpid()))
    time.sleep(params.seconds)
    del filled
    if params.error:
        raise RuntimeError(params.error)


def keep_busy(params: ToyParams) -> None:
    """Waits for processes of joblib."""
    from joblib import delayed

    shared = np.ones(4 * MIB, np.uint8)
    with joblib_processes(params.processes) as processes:
        processes(delayed(stay)(params, "joblib", number, shared) for number in range(params.processes))


def stay(params: ToyParams, kind: str, number: int, shared: Any = None) -> None:  # noqa: ARG001
    """Says that it has begun, and sleeps, with `shared` in its memory."""
    Path(f"{params.marker}-{kind}-{number}").write_text(str(os.getpid()))
    time.sleep(params.seconds)


def score(run: Context, scores: Scores) -> dict[str, float]:
    if run.case.engine != Bystander.name:
        time.sleep(run.case.params["seconds_of_scoring"])
    return score_holdout(run, scores)


WORKLOAD = Workload(
    name="data_parallel.toy",
    summary="A workload that misbehaves on request",
    pattern=DATA_PARALLEL,
    quality=Quality(score, SUPERVISED.judged, SUPERVISED.declared, SUPERVISED.beside),
    params=ToyParams(),
    engines=(ToyOnNode, Bystander, ToyOnSpark, ToyInTasks, ToyOnExecutors),
)
