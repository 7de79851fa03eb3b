"""Reads how much CPU time all processes together have used on given CPUs of this host."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
TICKS = os.sysconf("SC_CLK_TCK")
WORK = (1, 2, 3, 6, 7)
"""Columns of a CPU's line that count as work: user, nice, system, irq, softirq. `user` includes guests (proc(5))."""
STEAL = 8


@dataclass(frozen=True)
class Load:
    """CPU seconds since the host's start.

    `busy` is the time of work. `stolen` is the time in which a hypervisor gave the CPUs to other virtual machines.
    """

    busy: float
    stolen: float

    @classmethod
    def of(cls, cpus: Collection[int]) -> "Load | None":
        """Returns the total load of these CPUs. Returns None if the kernel does not report all of them."""
        names = {f"cpu{cpu}" for cpu in cpus}
        try:
            lines = [line.split() for line in STAT.read_text().splitlines()]
            rows = [line for line in lines if line[0] in names]
            if len(rows) < len(names):
                return None
            busy = sum(int(row[column]) for row in rows for column in WORK)
            return cls(busy / TICKS, sum(int(row[STEAL]) for row in rows) / TICKS)
        except (OSError, ValueError, IndexError):
            return None
