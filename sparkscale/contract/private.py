"""What a command writes is for its user only: records, logs, and copies of a table that may be private itself."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

UMASK = 0o077
_users = -1


def begin() -> None:
    """From now on this process and its children make files that nobody else may read."""
    global _users  # noqa: PLW0603 - of the process, as the mask is
    _users = os.umask(UMASK)


def users_umask() -> int:
    """The mask that the user's shell had, for what others are to read; -1, which changes nothing, before `begin`."""
    return _users


@contextmanager
def as_the_user_has_it() -> Iterator[None]:
    """For a file that the user asked for by its path: it is made as any other program would make it."""
    if _users < 0:
        yield
        return
    before = os.umask(_users)
    try:
        yield
    finally:
        os.umask(before)
