"""Samplers that watch a case from outside its worker: its memory, and the energy and memory of GPUs."""

import time
from dataclasses import dataclass
from typing import Protocol

from cluster import gpu, processes

SAMPLING_SHARE = 0.01
"""Sampling may take this share of the time: after a sample that took s seconds, the next waits for s / share."""
SAMPLING_SECONDS = 0.1


class Sampler(Protocol):
    """Samples at intervals the resources that a case uses."""

    def sample(self) -> float:
        """Takes a sample if it is due. Returns the seconds until the next sample."""


@dataclass
class MemorySampler:
    """Samples the peak of the proportional set size of a worker's process tree, at a cost below 1 %.

    For a single process, the kernel knows the peak, so that no peak is missed between two samples. `worker_tree`,
    `whole` and `executors` are ids of process trees. The trees in `whole` serve this case alone and count fully. The
    trees in `executors` belong to daemons: their executors count, but the daemons themselves do not.
    """

    worker_tree: int
    whole: tuple[int, ...] = ()
    executors: tuple[int, ...] = ()
    baseline: int | None = None
    """The bytes that the tree had in memory when `begin` was called."""
    _peak: int = 0
    _next: float = 0.0

    def begin(self) -> None:
        """Measures the baseline, before the case begins."""
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
        """Returns the peak in bytes. Call it while the processes are alive."""
        kernel_peak = None if self.executors or self.whole else processes.peak_pss_bytes(self.worker_tree)
        return max(self._peak, kernel_peak or self._now())

    def _now(self) -> int:
        bytes_of_trees = sum(map(processes.pss_bytes, (self.worker_tree, *self.whole)))
        return bytes_of_trees + sum(processes.pss_bytes(daemon, without_leader=True) for daemon in self.executors)


@dataclass
class GpuSampler:
    """Samples the energy that the GPUs of a case used, and the peak of their memory beyond what was in use before.

    Both are values of whole devices. They are None if a device does not report them.
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
        """Returns the peak beyond the memory that was in use before, in bytes; None if it is not known."""
        self._take()
        if self._most is None or self._before is None or self._before.memory_bytes is None:
            return None
        return max(0, self._most - self._before.memory_bytes)

    def joules(self) -> float | None:
        """Returns the energy since the sampler was made; None if it is not known."""
        now = self._take()
        if now is None or now.joules is None or self._before is None or self._before.joules is None:
            return None
        return now.joules - self._before.joules

    def _take(self) -> gpu.Reading | None:
        reading = gpu.read(self.indices)
        if reading and reading.memory_bytes is not None:
            self._most = max(self._most or 0, reading.memory_bytes)
        return reading
