"""Says whether a job fits into the memory of a place. The heap of a JVM and the memory beside it are apart.

The peak of an engine on one node is modelled as a + b·rows, with the fit and the intervals of the run time. Peaks
come from isolated executions. Without them, a run that ended well within a limit of memory shows that as many rows
fit.

A Spark engine fills any heap, so its peak says little. The heap that is enough comes from `sparkscale heap`. Without
a search, the heap of a run counts that did not spill and seldom collected garbage. For more rows it grows at most in
proportion, because the need is a + b·rows.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sparkscale.analysis import metrics
from sparkscale.analysis.heap import Search
from sparkscale.analysis.memory import amount
from sparkscale.analysis.patterns.data_parallel.memory_growth import peaks
from sparkscale.analysis.questions.plan.basis import Configuration, Job
from sparkscale.analysis.questions.plan.times import Sizes
from sparkscale.analysis.questions.plan.wish import Offer, Place
from sparkscale.analysis.questions.runtime_model import Prediction, Run, RuntimeModel, fit
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord

LITTLE_COLLECTING = 0.1
"""A run had enough heap only if its tasks spent at most this share of their time in garbage collection."""

Verdict = Literal["fits", "does not fit", "not known"]


@dataclass(frozen=True)
class Fit:
    """Whether a job fits into a place, and the reason in words.

    `bytes` is the peak of an engine on one node, or the heap of one executor that is enough. None if it is not known.
    If `is_limit` is true, the need is at most `bytes`.
    """

    verdict: Verdict
    reason: str = ""
    bytes: float | None = None
    interval: Interval | None = None
    is_limit: bool = False


@dataclass(frozen=True)
class Ran:
    """A configuration that ended well, or not, under a limit. `size` is the size for one executor, or the node."""

    size: float
    memory_bytes: int | None
    heap_bytes: int | None
    is_ok: bool
    beside_bytes: int | None = None
    """The memory beside the heap: the peak less the heap. None if it was not observed."""


@dataclass(frozen=True)
class Memory:
    """What is known about the memory of one job. `peak_model` is None for Spark, and if too little was measured."""

    job: Job
    ran: tuple[Ran, ...]
    heaps: tuple[tuple[float, float], ...] = ()
    """Pairs of a size for one executor, and a heap that is enough for it."""
    peak_model: RuntimeModel | None = None
    why_no_model: str = ""

    def fit(self, size: float, place: Place) -> Fit:
        """Returns whether a run of this size fits into a place."""
        own = size / place.executors
        if place.memory_bytes is None:
            return Fit("not known", f"memory not known: {place.cluster} does not report it")
        exhausted = [one for one in self.ran if not one.is_ok and one.size <= own and self._has_as_much(one, place)]
        if exhausted:
            limit = exhausted[0].memory_bytes
            granted = f" within {amount(limit)}" if limit else ""
            return Fit("does not fit", f"does not fit: it ran out of memory on as few rows{granted}")
        return self._on_node(own, place) if place.placement == "node" else self._on_spark(own, place)

    def _has_as_much(self, one: Ran, place: Place) -> bool:
        """Returns true if a run had at least the memory of a place."""
        return one.memory_bytes is not None and one.memory_bytes >= (place.memory_bytes or 0)

    def _on_node(self, size: float, place: Place) -> Fit:
        assert place.memory_bytes is not None
        made = self._peak(size)
        if made.seconds is None or made.interval is None:
            return self._by_limit(size, place, made.why_none)
        need = f"{amount(made.seconds)} ({amount(made.interval.low)}–{amount(made.interval.high)})"
        words = f"{need} of the node's {amount(place.memory_bytes)}"
        if made.interval.high <= place.memory_bytes:
            return Fit("fits", "", made.seconds, made.interval)
        surely = made.interval.low > place.memory_bytes
        reason = f"does not fit: needs {words}" if surely else f"does not fit surely: needs {words}"
        return Fit("does not fit", reason, made.seconds, made.interval)

    def _peak(self, size: float) -> Prediction:
        if self.peak_model is None:
            return Prediction(size, 1.0, why_none=self.why_no_model)
        return self.peak_model.predict(size, 1.0)

    def _by_limit(self, size: float, place: Place, why: str) -> Fit:
        """Returns whether a run shows by its limit of memory that the rows fit."""
        limits = [one.memory_bytes * max(1.0, size / one.size) for one in self.ran if one.is_ok and one.memory_bytes]
        least = min(limits, default=None)
        if least is not None and least <= (place.memory_bytes or 0):
            return Fit("fits", "", least, is_limit=True)
        return Fit("not known", f"memory not known: {why}")

    def _on_spark(self, size: float, place: Place) -> Fit:
        assert place.memory_bytes is not None
        if place.heap_bytes is None:
            return Fit("not known", f"memory not known: {place.cluster} does not report its heap")
        enough = min((heap * max(1.0, size / own) for own, heap in self.heaps), default=None)
        if enough is None:
            return Fit("not known", "memory not known: no run shows how much heap is enough")
        if enough > place.heap_bytes:
            reason = f"heap not known: at most {amount(enough)}, and {amount(place.heap_bytes)} are granted"
            return Fit("not known", reason)
        beside = self._beside(size, place)
        return Fit(beside.verdict, beside.reason, enough, is_limit=True)

    def _beside(self, size: float, place: Place) -> Fit:
        """Returns whether the memory of Python and native libraries fits beside the heap."""
        room = (place.memory_bytes or 0) - (place.heap_bytes or 0)
        observed = [
            one.beside_bytes * max(1.0, size / one.size) for one in self.ran if one.is_ok and one.beside_bytes
        ]
        rooms = [
            one.memory_bytes - one.heap_bytes
            for one in self.ran
            if one.is_ok and one.size >= size and one.memory_bytes and one.heap_bytes
        ]
        if min(rooms, default=room + 1) <= room or (observed and min(observed) <= room):
            return Fit("fits")
        if observed:
            need = f"{amount(min(observed))} beside the heap (Python and native)"
            return Fit("does not fit", f"does not fit surely: needs up to {need}, and {amount(room)} are left")
        return Fit("not known", "memory beside the heap not known for so many rows")


def memory(job: Job, sizes: Sizes, offers: Sequence[Offer]) -> Memory:
    """Returns what the records of a job say about its memory. `offers` are the profiles of the records."""
    by_name = {offer.name: offer for offer in offers}
    ran = tuple(each for one in job.configurations for each in _ran(one, sizes.of(one.rows, one.columns), by_name))
    if job.placement == "spark":
        heaps = (*_searched(job, sizes), *_quiet(job, sizes))
        return Memory(job, ran, heaps)
    runs = [
        Run(sizes.of(one.rows, one.columns), 1.0, peak)
        for one in job.configurations
        for peak in peaks(one.records).values()
    ]
    if not runs:
        return Memory(job, ran, why_no_model="no isolated executions")
    try:
        return Memory(job, ran, peak_model=fit(runs))
    except ConfigError:
        return Memory(job, ran, why_no_model="isolated executions of one size only")


def _ran(one: Configuration, size: float, offers: dict[str, Offer]) -> Iterator[Ran]:
    """Yields how the executions of a configuration ended, by cluster."""
    for cluster in dict.fromkeys(record.case.cluster for record in one.records):
        records = metrics.latest(record for record in one.records if record.case.cluster == cluster)
        outcomes = {record.outcome for record in records}
        if cluster not in offers or not outcomes & {"ok", "oom"}:
            continue
        offer, first = offers[cluster], records[0]
        place = offer.node if first.case.placement == "node" else offer.spark(offer.executors)
        executors = _executors(first)
        is_ok = outcomes == {"ok"} and not any(map(metrics.lost_executors, records))
        heap = first.resources.heap_bytes
        yield Ran(
            size / executors, place.memory_bytes, heap, is_ok, _beside_heap(records) if executors == 1 else None
        )


def _executors(record: RunRecord) -> int:
    return (record.spark.executors if record.spark else None) or 1


def _beside_heap(records: Sequence[RunRecord]) -> int | None:
    """Returns the largest peak less the heap. None if no peak is above the heap: then the heap was not full."""
    found = [
        record.resources.peak_pss_bytes - record.resources.heap_bytes
        for record in records
        if record.resources.peak_pss_bytes is not None and record.resources.heap_bytes is not None
    ]
    return max(found) if found and max(found) > 0 else None


def _searched(job: Job, sizes: Sizes) -> Iterator[tuple[float, float]]:
    """Yields the size for one executor and the needed heap of each search."""
    for search in job.searches:
        found = Search.of(search.records)
        if found is not None and found.needed is not None:
            record = found.needed.records[0]
            size = sizes.of(record.case.rows, search.columns)
            yield size / _executors(record), float(found.needed.heap_bytes)


def _quiet(job: Job, sizes: Sizes) -> Iterator[tuple[float, float]]:
    """Yields the size for one executor and the heap of each run that had enough heap."""
    for one in job.configurations:
        for record in metrics.timed(one.records):
            heap, spark = record.resources.heap_bytes, record.spark
            if heap is None or spark is None or spark.spilled_bytes:
                continue
            if spark.gc_seconds <= LITTLE_COLLECTING * spark.executor_run_seconds:
                yield sizes.of(one.rows, one.columns) / _executors(record), float(heap)
