"""The lock that allows only one run at a time on a machine, because two runs would disturb each other's times."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sparkscale.contract.errors import BusyError


def lock_path() -> Path:
    """Returns the path of the lock file. It is the same for every user and does not depend on TMPDIR."""
    return Path("/tmp/sparkscale.lock")


HOLDER = "SPARKSCALE_LOCK_HOLDER"
"""The environment variable with the id of the process that has the lock.

Child processes inherit the variable, and may measure under the same lock.
"""


SOCKET = "\0sparkscale.lock"
"""The name of a socket that is a second lock. It is in Linux's abstract name space for sockets.

Processes with another /tmp, such as systemd services with PrivateTmp, do not see the lock file, but they see the
socket. Processes in another network name space, such as most containers, do not see the socket.
"""


@contextmanager
def machine_lock() -> Iterator[None]:
    """Holds the lock until the context ends. Does nothing if a parent of this process holds the lock.

    Raises BusyError if another run holds the lock. The message names the process of that run.
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
    """Binds the socket until the context ends.

    Without an abstract name space, only the lock file protects the run. Raises BusyError if another process has
    bound the socket.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
        try:
            bound.bind(SOCKET)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise BusyError(
                    "Another run is measuring on this machine, in a process with another /tmp: wait for its end or "
                    "stop it."
                ) from None
        yield


def _open(path: Path) -> int:
    """Returns a descriptor of the lock file. If there is no file, creates one that every user may open.

    An existing file may belong to another user. Raises BusyError if the file cannot be opened.
    """
    try:
        try:
            return os.open(path, os.O_RDWR)
        except FileNotFoundError:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            os.fchmod(descriptor, 0o666)
            return descriptor
    except OSError as error:
        raise BusyError(
            f"The lock {path} cannot be opened: {error.strerror}. Make it readable and writable for this user."
        ) from error
