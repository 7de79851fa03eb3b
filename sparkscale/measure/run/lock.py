"""One run at a time on a machine: two would measure each other."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sparkscale.contract.errors import BusyError


def lock_path() -> Path:
    """The file that a run holds locked: the same for every user, whatever their TMPDIR."""
    return Path("/tmp/sparkscale.lock")


HOLDER = "SPARKSCALE_LOCK_HOLDER"
"""The environment variable by which a process that holds the lock tells its children that they measure under it."""


SOCKET = "\0sparkscale.lock"
"""A socket's name in the abstract name space, which processes with another /tmp share, such as services of systemd
with PrivateTmp; those with a network of their own, such as most containers, do not."""


@contextmanager
def machine_lock() -> Iterator[None]:
    """Held while a run measures; by this process or one that started it, it counts as held.

    Raises BusyError, naming the other run's process.
    """
    descriptor = _open(lock_path())
    with ExitStack() as stack:
        stack.callback(os.close, descriptor)
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
        stack.enter_context(_socket())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        os.environ[HOLDER] = str(os.getpid())
        try:
            yield
        finally:
            del os.environ[HOLDER]


@contextmanager
def _socket() -> Iterator[None]:
    """Binds the socket for the block; where there is no such name space, the file alone must do.

    Raises BusyError when another process has bound it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        try:
            bound.bind(SOCKET)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BusyError(
                    "Another run is measuring on this machine, by a process that sees another /tmp: wait for its end "
                    "or stop it."
                ) from None
        yield


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
