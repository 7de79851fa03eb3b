"""Runs one function over many items: in Spark tasks, in processes of this node, or right here; results are equal."""

import importlib
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from sparkscale.contract import errors
from sparkscale.contract.context import Context

Progress = Callable[[int, int], None]
"""Told how many of how many items are done."""

POLL_SECONDS = 0.5
OUR_PACKAGES = ("sparkscale", "workloads", "cluster")


def silent(done: int, total: int) -> None:
    """A Progress that tells nobody."""


class Tasks(Protocol):
    """`map` returns the results in the order of the items. Function, items and results are pickled."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]: ...


class Here:
    """One after the other in this process."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]:
        results = []
        for number, item in enumerate(items):
            progress(number, len(items))
            results.append(function(item))
        return results


class Processes:
    """Several at once in fresh processes of this node, which end with the call; each begins with `initializer`."""

    def __init__(self, count: int, initializer: Callable[[], object] | None = None) -> None:
        self.count = count
        self.initializer = initializer

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]:
        if len(items) <= 1 or self.count == 1:
            return Here().map(function, items, progress)
        progress(0, len(items))
        context = multiprocessing.get_context("spawn")
        count = min(self.count, len(items))
        with ProcessPoolExecutor(count, mp_context=context, initializer=self.initializer) as pool:
            futures = [pool.submit(function, item) for item in items]
            try:
                for done, future in enumerate(as_completed(futures), start=1):
                    future.result()
                    progress(done, len(items))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return [future.result() for future in futures]


class SparkTasks:
    """In the Python workers of a session's executors. Items go there in the function's closure, results come back as
    bytes; what the function reads and writes never passes through the JVM.

    `count` is the number of Spark tasks, one per item where it is None.
    """

    def __init__(self, spark: Any, count: int | None = None) -> None:
        self.spark = spark
        self.count = count
        self._single: Any = None

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]:
        import pyarrow as pa
        from pyspark.cloudpickle import dumps, loads

        def work(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for number in batch.column(0).to_pylist():
                    result = dumps(function(items[number]))  # type: ignore[no-untyped-call]
                    yield pa.RecordBatch.from_pydict(
                        {"id": pa.array([number], pa.int64()), "result": pa.array([result], pa.binary())}
                    )

        tasks = min(self.count or len(items), len(items))
        numbers = self.spark.range(0, len(items), 1, tasks)
        finished = threading.Event()
        watching = threading.Thread(target=self._watch, args=(finished, len(items), tasks, progress), daemon=True)
        watching.start()
        try:
            table = numbers.mapInArrow(work, "id long, result binary").toArrow()
        finally:
            finished.set()
            watching.join()
        found = dict(zip(table.column("id").to_pylist(), table.column("result").to_pylist(), strict=True))
        return [loads(found[number]) for number in range(len(items))]

    def one(self, function: Callable[[Any], Any], item: Any) -> Any:
        """What `function` returns for one item, in a job of one task, dispatched as fast as Spark can: by an RDD, for
        planning a query takes longer than running it. Connect has no RDDs. May be called by several threads at once.
        """
        context = context_of(self.spark)
        if context is None:
            (found,) = self.map(function, [item])
            return found
        if self._single is None:
            self._single = context.parallelize([0], 1)
        # its one row is read, or Spark would not use the Python worker again
        (found,) = self._single.map(lambda _: function(item)).collect()
        return found

    def _watch(self, finished: threading.Event, items: int, tasks: int, progress: Progress) -> None:
        """Asks Spark how far the running stage is; Spark Connect has nobody to ask."""
        context = context_of(self.spark)
        if context is None:
            return
        tracker = context.statusTracker()
        while not finished.wait(POLL_SECONDS):
            for stage in tracker.getActiveStageIds():
                info = tracker.getStageInfo(stage)
                if info:
                    progress(info.numCompletedTasks * items // tasks, items)


def ranks_of(run: Context) -> int:
    """How many of Spark's tasks can train one model together: all that run at once.

    Raises EngineUnsupported where they were to share a GPU, which NCCL refuses and xgboost.spark waits for in vain.
    """
    shares = float(run.spark.conf.get("spark.task.resource.gpu.amount", "1")) < 1 or 0 < run.gpus < run.slots
    if run.case.device == "gpu" and shares:
        raise errors.EngineUnsupported("A rank of NCCL needs a GPU of its own: set tasks_per_gpu = 1 in the profile.")
    return run.slots


OWN_ERROR = re.compile(r"sparkscale\.contract\.errors\.(\w+): (.+)")


@contextmanager
def raised_in_task() -> Iterator[None]:
    """An error of ours that Spark brings back from a task, within a long text of its own, is raised as itself."""
    try:
        yield
    except Exception as error:
        found = OWN_ERROR.findall(str(error))
        if not found:
            raise
        kind, message = found[-1]
        raise getattr(errors, kind)(message) from error


def context_of(spark: Any) -> Any:
    """A session's SparkContext; None on Connect."""
    try:
        return spark.sparkContext
    except Exception:  # whatever Connect's session says of what it lacks
        return None


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Functions and classes of our packages are pickled whole, for a process that cannot import them."""
    from pyspark.cloudpickle import register_pickle_by_value, unregister_pickle_by_value

    ours = [importlib.import_module(name) for name in OUR_PACKAGES]
    for package in ours:
        register_pickle_by_value(package)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        for package in ours:
            unregister_pickle_by_value(package)  # type: ignore[no-untyped-call]


Bind = Callable[[], AbstractContextManager[tuple[str, ...]]]
"""As `Context.bind_gpu`."""

_bound = ExitStack()
_is_bound = False


def bound_to_gpu(bind: Bind | None) -> None:
    """Binds this process to the GPU of its task, for good, the first time: CUDA cannot be bound twice.

    Raises DeviceError where the task has none.
    """
    global _is_bound  # noqa: PLW0603 - of the process, as the device is
    if bind is None or _is_bound:
        return
    try:
        _bound.enter_context(bind())
    except RuntimeError as error:
        raise errors.DeviceError(f"A task has no GPU: {error}") from error
    _is_bound = True


def peak_bytes() -> int:
    """The most physical memory that this process ever had (VmHWM; Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0
