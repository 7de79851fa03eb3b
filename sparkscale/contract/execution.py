"""The id of one execution of a case. It distinguishes the execution's files on shared storage."""

import hashlib
import socket
from functools import cache
from pathlib import Path
from uuid import uuid4

BOOT = Path("/proc/sys/kernel/random/boot_id")


def execution_id() -> str:
    """Returns a new id: the mark of this machine and sixteen random hex digits."""
    return f"{_machine()}-{uuid4().hex[:16]}"


def machine_of(execution: str) -> str:
    """Returns the mark of the machine that began an execution. The execution's id contains the mark."""
    return execution.partition("-")[0]


@cache
def _machine() -> str:
    """Returns the mark of this machine: eight hex digits.

    The mark changes when the host restarts. Containers with different host names have different marks.
    """
    boot = BOOT.read_text() if BOOT.exists() else ""
    return hashlib.sha256(f"{socket.gethostname()} {boot}".encode()).hexdigest()[:8]
