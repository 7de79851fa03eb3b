"""What a case uses, looked at from outside its worker: memory, and energy and memory of GPUs."""

import time
from dataclasses import dataclass
from typing import Protocol

from cluster import gpu, processes

SAMPLING_SHARE = 0.01
"""Sampling memory may take this share of the time: after a sample that took s seconds, s / share pass."""
SAMPLING_SECONDS = 0.1


class Sampler(Protocol):
    """Looks now and then at what a case uses."""

    def sample(self) -> float:
        """Samples when it is time to; returns the seconds until the next sample."""


@dataclass
class MemorySampler:
    """Peak of the proportional set size of a worker's process tree, sampled from outside it at under 1 % cost.

    A tree of one process has its peak from the kernel, so that none falls between two samples. To a tree belong the
    executors that the daemons of these `executors` sessions started for it, without the daemons themselves, and the
    `whole` sessions that serve it alone.
    """

    session: int
    whole: tuple[int, ...] = ()
    executors: tuple[int, ...] = ()
    baseline: int | None = None
    """Bytes that the tree held when `begin` was called."""
    _peak: int = 0
    _next: float = 0.0

    def begin(self) -> None:
        """Looks at the tree before the case has begun."""
        self.baseline = self._now()

    def sample(self) -> float:
        """Samples when it is time to; returns the seconds until the next sample."""
        now = time.monotonic()
        if now >= self._next:
            self._peak = max(self._peak, self._now())
            cost = time.monotonic() - now
            self._next = now + max(SAMPLING_SECONDS, cost / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak(self) -> int:
        """Bytes; to be asked while the processes still live."""
        alone = None if self.executors or self.whole else processes.peak_pss_bytes(self.session)
        return max(self._peak, alone or self._now())

    def _now(self) -> int:
        own = sum(map(processes.pss_bytes, (self.session, *self.whole)))
        return own + sum(processes.pss_bytes(daemon, without_leader=True) for daemon in self.executors)


@dataclass
class GpuSampler:
    """Energy that the GPUs of a case took, and the most memory that was in use on them beyond what was before.

    Both are of whole devices. Null where a device does not tell.
    """

    indices: tuple[int, ...]
    _before: gpu.Reading | None = None
    _most: int | None = None
    _next: float = 0.0

    def __post_init__(self) -> None:
        self._before = gpu.read(self.indices)

    def sample(self) -> float:
        """As MemorySampler's."""
        now = time.monotonic()
        if now >= self._next:
            self._take()
            self._next = now + max(SAMPLING_SECONDS, (time.monotonic() - now) / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak_bytes(self) -> int | None:
        self._take()
        if self._most is None or self._before is None or self._before.memory_bytes is None:
            return None
        return max(0, self._most - self._before.memory_bytes)

    def joules(self) -> float | None:
        now = self._take()
        if now is None or now.joules is None or self._before is None or self._before.joules is None:
            return None
        return now.joules - self._before.joules

    def _take(self) -> gpu.Reading | None:
        found = gpu.read(self.indices)
        if found and found.memory_bytes is not None:
            self._most = max(self._most or 0, found.memory_bytes)
        return found
