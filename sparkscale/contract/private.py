"""Ensures that only the user can read the files that a command writes.

The files are records, logs, and copies of tables that may be private.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

UMASK = 0o077
_users_umask = -1


@contextmanager
def for_the_user_only() -> Iterator[None]:
    """Within this context, only the user can read the files that this process and its children create."""
    global _users_umask  # noqa: PLW0603 - the mask belongs to the process, too
    outer = _users_umask
    umask = os.umask(UMASK)
    _users_umask = umask if outer < 0 else outer
    try:
        yield
    finally:
        os.umask(umask)
        _users_umask = outer


def users_umask() -> int:
    """Returns the umask of the user's shell. A process that makes files for other users needs it.

    Returns -1 outside of `for_the_user_only`. As `umask` of `subprocess.Popen`, -1 changes nothing.
    """
    return _users_umask


@contextmanager
def with_users_umask() -> Iterator[None]:
    """Within this context, new files get the permissions that the user's shell sets.

    Use it for files that the user names by path.
    """
    if _users_umask < 0:
        yield
        return
    private_umask = os.umask(_users_umask)
    try:
        yield
    finally:
        os.umask(private_umask)
