"""Samplers measure a case from outside its worker: its memory, and the energy and memory of its GPUs."""

import time
from dataclasses import dataclass
from typing import Protocol

from cluster import gpu, processes

SAMPLING_SHARE = 0.01
"""Sampling may take this share of the time: after a sample that took s seconds, the next waits for s / share."""
SAMPLING_SECONDS = 0.1


class Sampler(Protocol):
    """Measures the resources that a case uses, at intervals while the case runs."""

    def sample(self) -> float:
        """Takes a sample if it is due. Returns the seconds until the next sample."""


@dataclass
class MemorySampler:
    """Measures the peak memory of a worker's process tree, as its proportional set size.

    Sampling takes about 1 % of the time. For a single process, the kernel knows the peak, so that no peak is
    missed between two samples. `worker_tree`, `whole` and `executors` are ids of process trees. The trees in
    `whole` serve only this case and count fully. The trees in `executors` belong to daemons. The executors in
    these trees count, but the daemons do not.
    """

    worker_tree: int
    whole: tuple[int, ...] = ()
    executors: tuple[int, ...] = ()
    baseline: int | None = None
    """The memory of all counted processes when `begin` was called, in bytes."""
    _peak: int = 0
    _next: float = 0.0

    def begin(self) -> None:
        """Measures `baseline`, the memory in use before the case. Call this method before the case begins."""
        self.baseline = self._now()

    def sample(self) -> float:
        """Takes a sample if it is due. Returns the seconds until the next sample."""
        now = time.monotonic()
        if now >= self._next:
            self._peak = max(self._peak, self._now())
            cost = time.monotonic() - now
            self._next = now + max(SAMPLING_SECONDS, cost / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak(self) -> int:
        """Returns the peak in bytes. Call this method while the processes are alive."""
        kernel_peak = None if self.executors or self.whole else processes.peak_pss_bytes(self.worker_tree)
        return max(self._peak, kernel_peak or self._now())

    def _now(self) -> int:
        bytes_of_trees = sum(map(processes.pss_bytes, (self.worker_tree, *self.whole)))
        return bytes_of_trees + sum(processes.pss_bytes(daemon, without_leader=True) for daemon in self.executors)


@dataclass
class GpuSampler:
    """Measures the energy that a case's GPUs use, and their peak memory minus the memory in use before the case.

    The values include everything that runs on these GPUs. A value is None if a GPU does not report it.
    """

    indices: tuple[int, ...]
    _before: gpu.Reading | None = None
    _most: int | None = None
    _next: float = 0.0

    def __post_init__(self) -> None:
        self._before = gpu.read(self.indices)

    def sample(self) -> float:
        """Takes a sample if it is due. Returns the seconds until the next sample."""
        now = time.monotonic()
        if now >= self._next:
            self._take()
            self._next = now + max(SAMPLING_SECONDS, (time.monotonic() - now) / SAMPLING_SHARE)
        return max(0.0, self._next - time.monotonic())

    def peak_bytes(self) -> int | None:
        """Returns the peak memory minus the memory in use before the case, in bytes; None if it is not known."""
        self._take()
        if self._most is None or self._before is None or self._before.memory_bytes is None:
            return None
        return max(0, self._most - self._before.memory_bytes)

    def joules(self) -> float | None:
        """Returns the energy in joules since the sampler was made; None if it is not known."""
        now = self._take()
        if now is None or now.joules is None or self._before is None or self._before.joules is None:
            return None
        return now.joules - self._before.joules

    def _take(self) -> gpu.Reading | None:
        reading = gpu.read(self.indices)
        if reading and reading.memory_bytes is not None:
            self._most = max(self._most or 0, reading.memory_bytes)
        return reading
