"""Formats memory for tables: the needed memory and peak of a node engine, or the peak and heap of a Spark engine."""

from collections.abc import Sequence

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord

HEADING = "memory needed\n(peak)"

NOTE = (
    "Memory is that of isolated executions. The memory that a node engine needs is its peak less the peak of an idle "
    "worker with the same imports. A Spark engine's peak follows from its heap: `sparkscale heap` finds the smallest "
    "heap that is enough."
)


def needed(records: Sequence[RunRecord]) -> Spread | None:
    """Returns the bytes that a case of a node engine needs beyond those of an idle worker.

    None if no record has both a peak and a baseline.
    """
    return Spread.of(metrics.MEMORY_NEEDED.samples(records))


def shown(records: Sequence[RunRecord]) -> str | None:
    """Returns the memory of one case, from its isolated executions. None if no record has a peak.

    Examples: "57 MiB (249 MiB)" for a node engine, "(2,174 MiB under a heap of 10.0 GiB)" for a Spark engine.
    """
    peak = Spread.of(metrics.PEAK_MEMORY.samples(records))
    if peak is None:
        return None
    needed_bytes = needed(records)
    heaps = {record.resources.heap_bytes for record in records if record.resources.peak_pss_bytes is not None}
    heap = heaps.pop() if len(heaps) == 1 else None
    under = f"\nunder a heap of {amount(heap)}" if heap else ""
    peak_text = f"({amount(peak.median)}{under})"
    return peak_text if needed_bytes is None else f"{amount(needed_bytes.median)}\n{peak_text}"


def share(part: Sequence[RunRecord], whole: Sequence[RunRecord]) -> float | None:
    """Returns the memory that a sample needs, divided by the memory that all data needs.

    `part` are the records of the sample, `whole` those of all data. None for Spark engines, and if either memory
    is not known.
    """
    part_bytes, whole_bytes = needed(part), needed(whole)
    if part_bytes is None or whole_bytes is None or not whole_bytes.median:
        return None
    return part_bytes.median / whole_bytes.median


def amount(size: float) -> str:
    """Returns bytes as a text in MiB, or in GiB from 8 GiB on."""
    return f"{size / 2**30:,.1f} GiB" if size >= 8 * 2**30 else f"{size / 2**20:,.0f} MiB"
