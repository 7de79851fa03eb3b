"""One run at a time on a machine: two would measure each other."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparkscale.contract.errors import BusyError


def lock_path() -> Path:
    """The file that a run holds locked: the same for every user, whatever their TMPDIR."""
    return Path("/tmp/sparkscale.lock")


HOLDER = "SPARKSCALE_LOCK_HOLDER"
"""The environment variable by which a process that holds the lock tells its children that they measure under it."""


@contextmanager
def machine_lock() -> Iterator[None]:
    """Held while a run measures; by this process or one that started it, it counts as held.

    Raises BusyError, naming the other run's process.
    """
    descriptor = _open(lock_path())
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            if os.environ.get(HOLDER) == holder:
                yield
                return
            raise BusyError(
                f"Another run is measuring on this machine (process {holder}): wait for its end or stop it."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        os.environ[HOLDER] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[HOLDER]
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """The lock file, made for every user. An existing one is opened as it is: another user may own it."""
    try:
        try:
            return os.open(path, os.O_RDWR)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor
    except OSError as error:
        raise BusyError(f"The lock {path} cannot be opened: {error.strerror}.") from error
