"""Memory as tables show it: the need of a node engine's data, and a Spark engine's peak with its heap."""

from collections.abc import Sequence

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord

HEADING = "memory needed\n(peak)"

NOTE = (
    "Memory is of isolated executions. A node engine needs what its peak exceeds an idle worker's by, which has made "
    "the same imports. A Spark engine's peak follows from the heap that it was given: `sparkscale heap` finds the "
    "smallest that is enough."
)


def needed(records: Sequence[RunRecord]) -> Spread | None:
    """Bytes that one case of a node engine needs beyond an idle worker; None if no record has both sizes."""
    return Spread.of(metrics.MEMORY_NEEDED.samples(records))


def shown(records: Sequence[RunRecord]) -> str | None:
    """The memory of one case, by its isolated executions; None if none has a peak.

    "57 MiB (249 MiB)" of a node engine, "(2,174 MiB under a heap of 10.0 GiB)" of a Spark engine.
    """
    peak = Spread.of(metrics.PEAK_MEMORY.samples(records))
    if peak is None:
        return None
    beyond = needed(records)
    heaps = {record.resources.heap_bytes for record in records if record.resources.peak_pss_bytes is not None}
    heap = heaps.pop() if len(heaps) == 1 else None
    under = f"\nunder a heap of {amount(heap)}" if heap else ""
    peaked = f"({amount(peak.median)}{under})"
    return peaked if beyond is None else f"{amount(beyond.median)}\n{peaked}"


def share(part: Sequence[RunRecord], whole: Sequence[RunRecord]) -> float | None:
    """The share of the memory for all data that a sample needs. None for Spark engines."""
    some, most = needed(part), needed(whole)
    if some is None or most is None or not most.median:
        return None
    return some.median / most.median


def amount(size: float) -> str:
    """Bytes in MiB; from 8 GiB on in GiB."""
    return f"{size / 2**30:,.1f} GiB" if size >= 8 * 2**30 else f"{size / 2**20:,.0f} MiB"
