"""Calls one function for many items, in Spark tasks, in processes of this node, or in this process.

The results are the same in all three cases.
"""

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
"""A function that is called with the number of finished items and the number of all items."""

POLL_SECONDS = 0.5
OUR_PACKAGES = ("sparkscale", "workloads", "cluster")


def silent(done: int, total: int) -> None:
    """Does nothing. It is the `Progress` of callers that do not show their progress."""


class Tasks(Protocol):
    """Runs a function for each of several items. `map` returns the results in the order of the items.

    The function, the items and the results must be picklable.
    """

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]: ...


class Here:
    """Runs the items one after the other in this process."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], progress: Progress = silent) -> list[Any]:
        results = []
        for number, item in enumerate(items):
            progress(number, len(items))
            results.append(function(item))
        return results


class Processes:
    """Runs several items at once, in new processes on this node that end with the call.

    Each new process first calls `initializer`. If there is only one item, or if `count` is 1, no process is
    started, and the caller's process runs the items.
    """

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
    """Runs the items in the Python workers of a session's executors.

    Items are sent in the function's closure, and results are returned as bytes. Data that the function reads and
    writes never passes through the JVM. `count` is the number of Spark tasks; None means one for each item.
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
        watcher = threading.Thread(target=self._watch, args=(finished, len(items), tasks, progress), daemon=True)
        watcher.start()
        try:
            table = numbers.mapInArrow(work, "id long, result binary").toArrow()
        finally:
            finished.set()
            watcher.join()
        results = dict(zip(table.column("id").to_pylist(), table.column("result").to_pylist(), strict=True))
        return [loads(results[number]) for number in range(len(items))]

    def run_one(self, function: Callable[[Any], Any], item: Any) -> Any:
        """Returns the result of `function` for one item, from a Spark job with one task.

        An RDD is used because it dispatches the job fastest: planning a query would take longer than running it.
        Spark Connect has no RDDs, so `map` is used there. Several threads may call this method at once.
        """
        context = context_of(self.spark)
        if context is None:
            (result,) = self.map(function, [item])
            return result
        if self._single is None:
            self._single = context.parallelize([0], 1)
        # the task reads its one row, because Spark would otherwise not use the Python worker again
        (result,) = self._single.map(lambda _: function(item)).collect()
        return result

    def _watch(self, finished: threading.Event, items: int, tasks: int, progress: Progress) -> None:
        """Reports the progress of the running stage until `finished` is set.

        Reports nothing on Spark Connect, which does not provide the progress.
        """
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
    """Returns the number of Spark tasks that train one model together. It is the number of slots.

    Raises EngineUnsupported if these tasks would share a GPU, because NCCL does not allow it and xgboost.spark
    would wait for ever.
    """
    shares = float(run.spark.conf.get("spark.task.resource.gpu.amount", "1")) < 1 or 0 < run.gpus < run.slots
    if run.case.device == "gpu" and shares:
        raise errors.EngineUnsupported(
            "Each rank of NCCL needs its own GPU: set tasks_per_gpu = 1 in the cluster profile."
        )
    return run.slots


OWN_ERROR = re.compile(r"sparkscale\.contract\.errors\.(\w+): (.+)")


@contextmanager
def raised_in_task() -> Iterator[None]:
    """If a Spark task in the block raises an error of sparkscale, raises an error of the same class and message.

    The long text that Spark adds is left out. All other errors are raised unchanged.
    """
    try:
        yield
    except Exception as error:
        own_errors = OWN_ERROR.findall(str(error))
        if not own_errors:
            raise
        kind, message = own_errors[-1]
        raise getattr(errors, kind)(message) from error


def context_of(spark: Any) -> Any:
    """Returns the SparkContext of a Spark session; None on Spark Connect."""
    try:
        return spark.sparkContext
    except Exception:  # a Connect session may raise any error here
        return None


@contextmanager
def pickled_by_value() -> Iterator[None]:
    """Pickles functions and classes of our packages by value during the `with` block.

    Processes that cannot import our packages can unpickle only such functions and classes.
    """
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
"""A function that binds the code in a `with` block to GPUs, such as `Context.bind_gpu`."""

_bound = ExitStack()
_is_bound = False


def bound_to_gpu(bind: Bind | None) -> None:
    """Binds this process permanently to the GPU of its Spark task.

    Only the first call has an effect, because CUDA cannot be bound twice. If `bind` is None, nothing is bound.

    Raises DeviceError if the task has no GPU.
    """
    global _is_bound  # noqa: PLW0603 - the whole process is bound
    if bind is None or _is_bound:
        return
    try:
        _bound.enter_context(bind())
    except RuntimeError as error:
        raise errors.DeviceError(f"A Spark task has no GPU: {error}") from error
    _is_bound = True


def peak_bytes() -> int:
    """Returns the most physical memory that this process has held since its start, in bytes (Linux: VmHWM)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0
