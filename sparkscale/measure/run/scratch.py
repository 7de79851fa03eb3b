"""Scratch folders, which exist only while a command runs."""

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
    """Yields a new scratch folder, and removes it when the context ends.

    First, everything that killed commands left behind is removed, such as folders and processes. The caller must
    hold the machine's lock.
    """
    lifecycle.sweep()
    processes.sweep_marked()
    for stale in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        processes.remove_shared(_workers(stale))
        shutil.rmtree(stale, ignore_errors=True)
    processes.sweep_limits()
    with suppress(OSError):  # earlier releases made this folder readable for everyone
        cache_folder().chmod(0o700)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _workers(folder: Path) -> set[int]:
    """Returns the process ids of the workers that used this scratch folder of a run."""
    ids = set()
    with suppress(OSError):  # a process that is ending removes its own files
        for path in folder.rglob(PID):
            text = path.read_text()
            ids |= {int(text)} if text.isdecimal() else set()
    return ids


@contextmanager
def subfolder(scratch: Path, name: str) -> Iterator[Path]:
    """Yields a new folder below `scratch`, with a name that begins with `name`. Removes it when the context ends.

    Raises ScratchError if it cannot be made.
    """
    try:
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=scratch))
    except OSError as error:
        raise ScratchError(f"A folder for temporary files cannot be made: {error}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def tables_folder(scratch: Path) -> Iterator[Path]:
    """Yields a folder for the tables of one case, below `scratch`. Raises ScratchError if it cannot be made."""
    folder = scratch / f"tables-{uuid.uuid4().hex}"
    try:
        folder.mkdir()
    except OSError as error:
        raise ScratchError(f"The folder for the tables of the case cannot be made: {error}.") from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def contents(tables: dict[str, Path]) -> dict[str, bytes]:
    """Returns the bytes of each table's file, by table name. Raises ScratchError if a file cannot be read."""
    try:
        return {name: path.read_bytes() for name, path in tables.items()}
    except OSError as error:
        raise ScratchError(f"A table of the case cannot be read: {error}.") from error


def vanished(scratch: Path) -> ScratchError:
    """Returns the error for a worker that has lost its scratch folder."""
    return ScratchError(
        f"The worker's scratch folder {scratch} vanished while the case ran: something else on this machine removes "
        "files that are in use."
    )
