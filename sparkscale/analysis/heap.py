"""Finds the smallest heap that is enough, from the records of one run of `sparkscale heap`."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from sparkscale.analysis import metrics
from sparkscale.analysis.memory import amount
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord

WITHIN = 1.2
"""A heap is enough if the case's median time is at most this many times the median time with the profile's heap."""
AGREEING = 2
"""A probe has its result when this many repeats lie on the same side of the limit: the majority of three."""

Verdict = Literal["enough", "too slow", "too little"]


def seconds(records: Sequence[RunRecord]) -> Spread | None:
    """Returns the spread of the warm times to model. None if there are none."""
    return Spread.of([metrics.time_to_model(record) for record in metrics.timed(records)])


def failure(record: RunRecord) -> str | None:
    """Returns the failure of a case as part of a sentence, such as "ends as oom". None if it did not fail.

    An executor that runs out of heap is lost, and Spark repeats its work. The case may then end as ok, but it
    counts as failed here.
    """
    if record.outcome != "ok":
        return f"ends as {record.outcome}"
    return "loses an executor" if metrics.lost_executors(record) else None


def is_enough(own_records: Sequence[RunRecord], probe_records: Sequence[RunRecord]) -> bool | None:
    """Returns true if the heap of a probe is enough: no execution fails, and the median time is within the limit.

    `own_records` are the executions with the profile's heap, and `probe_records` those with the probe's heap.
    Returns None if more executions with the probe's heap are needed. Raises ValueError if no execution with the
    profile's heap has a time.
    """
    if any(map(failure, probe_records)):
        return False
    reference = seconds(own_records)
    if reference is None:
        raise ValueError("no time under the profile's own heap")
    within = [metrics.time_to_model(record) <= WITHIN * reference.median for record in metrics.timed(probe_records)]
    if max(within.count(True), within.count(False)) >= AGREEING:
        return within.count(True) >= AGREEING
    return None


@dataclass(frozen=True)
class Probe:
    """All executions (repeats) of a case with one heap.

    `own_seconds` is the median time with the profile's heap.
    """

    heap_bytes: int
    records: tuple[RunRecord, ...]
    own_seconds: float | None

    @cached_property
    def seconds(self) -> Spread | None:
        return seconds(self.records)

    @property
    def slowdown(self) -> float | None:
        """The median time with this heap divided by that with the profile's heap. None if either is unknown."""
        return self.seconds.median / self.own_seconds if self.seconds and self.own_seconds else None

    @property
    def failure(self) -> RunRecord | None:
        """The first repeat that failed."""
        return next((record for record in self.records if failure(record)), None)

    @property
    def verdict(self) -> Verdict:
        if self.failure or self.slowdown is None:
            return "too little"
        return "enough" if self.slowdown <= WITHIN else "too slow"

    @property
    def is_torn(self) -> bool:
        """True if the repeats lie on both sides of the limit, so that the verdict is due to chance."""
        if self.failure or self.seconds is None or self.own_seconds is None:
            return False
        return self.seconds.low <= WITHIN * self.own_seconds < self.seconds.high

    @property
    def words(self) -> str:
        """The result with a heap that is not enough, such as "ends as oom at 450 MiB"."""
        if self.failure:
            return f"{failure(self.failure)} at {amount(self.heap_bytes)}"
        return f"takes {self.slowdown:.2f} × as long at {amount(self.heap_bytes)}"


@dataclass(frozen=True)
class Search:
    """All probes of one case, the largest heap first. The first probe has the profile's heap."""

    probes: tuple[Probe, ...]

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> "Search | None":
        """Returns the search of these records. None if no record other than warm-ups states its heap."""
        by_heap: dict[int, list[RunRecord]] = defaultdict(list)
        for record in records:
            if not record.is_warmup and record.resources.heap_bytes is not None:
                by_heap[record.resources.heap_bytes].append(record)
        if not by_heap:
            return None
        own = seconds(by_heap[max(by_heap)])
        return cls(
            tuple(
                Probe(heap, tuple(by_heap[heap]), own.median if own else None)
                for heap in sorted(by_heap, reverse=True)
            )
        )

    @property
    def own(self) -> Probe:
        return self.probes[0]

    @cached_property
    def needed(self) -> Probe | None:
        """The probe with the smallest heap that is enough. All probes with larger heaps are enough, too.

        None if not even the profile's heap is enough.
        """
        smallest = None
        for probe in self.probes:
            if probe.verdict != "enough":
                break
            smallest = probe
        return smallest

    @property
    def below(self) -> list[Probe]:
        """The probes with less than the needed heap, the largest heap first. All probes if no heap is enough."""
        return [probe for probe in self.probes if self.needed is None or probe.heap_bytes < self.needed.heap_bytes]

    def sentences(self) -> list[str]:
        """Returns sentences about the needed heap, its certainty, and the results with smaller heaps."""
        label, own = self.own.records[0].case.label, self.own
        if self.needed is None or own.seconds is None:
            error = own.failure.error if own.failure else None
            reason = f" ({error.message.splitlines()[0]})" if error and error.message else ""
            return [f"{label} {own.words}{reason}, the cluster's own heap. So there is no time to compare with."]
        needed, time = self.needed, own.seconds
        slow = next((probe for probe in self.below if probe.verdict == "too slow"), None)
        failed = next((probe for probe in self.below if probe.verdict == "too little"), None)
        less = " and ".join(probe.words for probe in (slow, failed) if probe)
        size = f"{amount(needed.heap_bytes)}{'' if self.below else ' or less'}"
        sentences = [
            f"{label} needs a heap of {size}: with it, the time to model stays within "
            f"{WITHIN:g} × of {time.median:.2f} s ({time.low:.2f}–{time.high:.2f}) under {amount(own.heap_bytes)}."
        ]
        if less:
            largest = self.below[0].heap_bytes
            sentences.append(
                f"It {less}. The smallest heap lies between {amount(largest)} and {amount(needed.heap_bytes)}."
            )
        elif needed is not own:
            sentences.append("No heap that was tried is too small: Spark starts no JVM with less than 450 MiB.")
        lucky = next((probe for probe in self.below if probe.verdict == "enough"), None)
        if lucky:
            sentences.append(
                f"Yet {amount(lucky.heap_bytes)} was enough: noise is larger here than the effect of the heap. "
                "Search again."
            )
        torn = [probe for probe in (*self.below[:1], needed) if probe.is_torn]
        if torn:
            heaps = " and ".join(amount(probe.heap_bytes) for probe in torn)
            sentences.append(
                f"At {heaps} the repeats lie on both sides of the limit, so the result there is due to chance."
            )
        return sentences
