"""How busy some CPUs of this host were, whoever used them."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
TICKS = os.sysconf("SC_CLK_TCK")
WORK = (1, 2, 3, 6, 7)
"""Columns of a CPU's line that are work: user, nice, system, irq, softirq. Guests count as user (proc(5))."""
STEAL = 8


@dataclass(frozen=True)
class Load:
    """CPU seconds since the host's start: of work, and of waiting for a hypervisor that served others."""

    busy: float
    stolen: float

    @classmethod
    def of(cls, cpus: Collection[int]) -> "Load | None":
        """Of these CPUs together; None where the kernel does not tell."""
        wanted = {f"cpu{cpu}" for cpu in cpus}
        try:
            lines = [line.split() for line in STAT.read_text().splitlines()]
            rows = [line for line in lines if line[0] in wanted]
            if len(rows) < len(wanted):
                return None
            busy = sum(int(row[column]) for row in rows for column in WORK)
            return cls(busy / TICKS, sum(int(row[STEAL]) for row in rows) / TICKS)
        except (OSError, ValueError, IndexError):
            return None
