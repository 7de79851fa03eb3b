"""Starts processes of joblib (loky) on one node, with one thread each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def joblib_processes(count: int) -> Iterator[Any]:
    """Yields joblib's Parallel with `count` processes. They read arrays in their arguments through memory mapping.

    The processes keep running, and the next call with the same count uses them again. A call with another count
    would end or start processes within a phase.
    """
    from joblib import Parallel

    with no_thread_variables():
        yield Parallel(n_jobs=count, backend="loky", batch_size=1, mmap_mode="r", inner_max_num_threads=1)


@contextmanager
def no_thread_variables() -> Iterator[None]:
    """Removes the variables *_NUM_THREADS from the environment during the block.

    Processes that start in the block would inherit these variables, which override loky's own limit on threads.
    Each process would then use all cores, and all processes would be a third slower.
    """
    removed = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    for name in removed:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(removed)
