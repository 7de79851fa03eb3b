"""The id of one execution of a case, by which its files on a shared storage are told from others'."""

import hashlib
import socket
from functools import cache
from pathlib import Path
from uuid import uuid4

BOOT = Path("/proc/sys/kernel/random/boot_id")


def execution_id() -> str:
    """A new one: this machine's mark and sixteen random digits."""
    return f"{_machine()}-{uuid4().hex[:16]}"


def machine_of(execution: str) -> str:
    """The mark of the machine on which the execution was begun."""
    return execution.partition("-")[0]


@cache
def _machine() -> str:
    """Of a host as long as it is up; containers of one host differ in their names."""
    boot = BOOT.read_text() if BOOT.exists() else ""
    return hashlib.sha256(f"{socket.gethostname()} {boot}".encode()).hexdigest()[:8]
