"""Processes of joblib (loky) on one node, one thread each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def joblib_processes(count: int) -> Iterator[Any]:
    """So many, as joblib's Parallel, which maps arrays of its arguments into them. They live on for the next call, if
    that asks for as many: another number would end some, or start some within a phase.
    """
    from joblib import Parallel

    with no_thread_variables():
        yield Parallel(n_jobs=count, backend="loky", batch_size=1, mmap_mode="r", inner_max_num_threads=1)


@contextmanager
def no_thread_variables() -> Iterator[None]:
    """Processes that start in the block do not inherit how many threads this one may use: against those variables
    loky's own limit has no effect, and processes that each use all cores make one another a third slower.
    """
    kept = {name: value for name, value in os.environ.items() if name.endswith("_NUM_THREADS")}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)
