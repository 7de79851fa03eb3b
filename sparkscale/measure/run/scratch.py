"""Folders for what only the running command needs."""

import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cluster import lifecycle, processes
from cluster.profile import cache_folder
from sparkscale.contract.errors import ScratchError
from sparkscale.measure.worker.process import PID

PREFIX = "sparkscale-run-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """To be opened under the machine's lock: what a killed command left is removed first."""
    lifecycle.sweep()
    processes.sweep_marked()
    for stale in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        processes.remove_shared(_workers(stale))
        shutil.rmtree(stale, ignore_errors=True)
    processes.sweep_limits()
    with suppress(OSError):  # earlier releases made it readable for everyone
        cache_folder().chmod(0o700)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _workers(folder: Path) -> set[int]:
    """The ids of the processes that a run's workers had."""
    found = set()
    with suppress(OSError):  # a process that is about to end removes files of its own
        for path in folder.rglob(PID):
            text = path.read_text()
            found |= {int(text)} if text.isdecimal() else set()
    return found


@contextmanager
def tables_folder(scratch: Path) -> Iterator[Path]:
    """A folder below a worker's own, for the tables of one case. Raises ScratchError if it cannot be made."""
    folder = scratch / f"tables-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
    except OSError as error:
        raise ScratchError(f"The case has no place for its tables: {error}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contents(tables: dict[str, Path]) -> dict[str, bytes]:
    """The bytes of each table's file. Raises ScratchError for one that cannot be read."""
    try:
        return {name: path.read_bytes() for name, path in tables.items()}
    except OSError as error:
        raise ScratchError(f"A table of the case cannot be read: {error}.") from error


def vanished(scratch: Path) -> ScratchError:
    """The error of a worker without its folder."""
    return ScratchError(
        f"The worker's scratch folder {scratch} vanished while the case ran: something else on this machine removes "
        "files that are in use."
    )
