"""A folder for what only the running command needs."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster import lifecycle, processes

PREFIX = "sparkscale-run-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """To be opened under the machine's lock: what a killed command left is removed first."""
    lifecycle.sweep()
    for stale in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        shutil.rmtree(stale, ignore_errors=True)
    processes.sweep_limits()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
