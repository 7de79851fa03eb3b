"""The report of a search for the smallest heap."""

from collections.abc import Iterator, Sequence

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Column, Grid
from sparkscale.analysis.heap import WITHIN, Probe, Search, failure
from sparkscale.analysis.memory import amount
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord


def search(records: Sequence[RunRecord]) -> Iterator[Block]:
    """Yields the answers of the search, and a table of all probes.

    Yields nothing if no record belongs to a probe.
    """
    heap_search = Search.of(records)
    if heap_search is None:
        return
    evidence = tuple(record.id for record in records)
    yield from (Answer(sentence, evidence=evidence) for sentence in heap_search.sentences())
    columns = (
        blocks.name("heap"),
        Column("repeats", ","),
        blocks.seconds("time to model, s\nmedian (range)"),
        Column("of the time\nunder the own heap", ".2f", priority=1),
        Column("garbage\ncollection, s", ".1f", priority=2),
        blocks.prose(f"enough: ok, within {WITHIN:g} ×"),
    )
    rows = tuple(
        (
            f"{amount(probe.heap_bytes)}{' (own)' if probe is heap_search.own else ''}",
            len(probe.records),
            probe.seconds,
            None if probe is heap_search.own else probe.slowdown,
            _collecting(probe),
            _verdict(probe),
        )
        for probe in heap_search.probes
    )
    case = heap_search.own.records[0].case
    yield Grid(f"{case.label}, cluster {case.cluster}: heaps that were tried", columns, rows)


def _collecting(probe: Probe) -> Spread | None:
    """Returns the seconds of garbage collection in each repeat, summed over Spark tasks.

    None if no repeat used Spark.
    """
    return Spread.of([record.spark.gc_seconds for record in probe.records if record.spark])


def _verdict(probe: Probe) -> str:
    if probe.failure is None:
        return "yes" if probe.verdict == "enough" else "no: too slow"
    error = probe.failure.error
    reason = error.first_line if error else ""
    return f"no: {failure(probe.failure)}{reason and f': {reason}'}"
