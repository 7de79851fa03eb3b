"""Draws a search for the smallest heap as a table for a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sparkscale.analysis import drawing
from sparkscale.analysis.drawing import NOTHING
from sparkscale.analysis.heap import WITHIN, Probe, Search, failure
from sparkscale.analysis.memory import amount
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord


def search(records: Sequence[RunRecord]) -> Iterator[RenderableType]:
    """The probes, and what they say; nothing without a record of the case itself."""
    found = Search.of(records)
    if found is None:
        return
    table = drawing.table(
        f"{found.own.records[0].case.label}, cluster {found.own.records[0].case.cluster}: heaps that were tried",
        "heap",
        "repeats",
        "time to model, s\nmedian (range)",
        "of the time\nunder the own heap",
        "garbage\ncollection, s",
        prose=f"enough: ok, within {WITHIN:g} ×",
    )
    for probe in found.probes:
        own = probe is found.own
        table.add_row(
            f"{amount(probe.heap_bytes)}{' (own)' if own else ''}",
            str(len(probe.records)),
            drawing.seconds(probe.seconds),
            NOTHING if probe.slowdown is None or own else f"{probe.slowdown:.2f}",
            _collecting(probe),
            _verdict(probe),
        )
    yield table
    for sentence in found.sentences():
        yield Text(sentence)


def _collecting(probe: Probe) -> str:
    """Seconds that its tasks spent in garbage collection, summed over them: Spark's own count."""
    spread = Spread.of([record.spark.gc_seconds for record in probe.records if record.spark])
    return drawing.spread(spread, "{:.1f}".format)


def _verdict(probe: Probe) -> str:
    if probe.failure is None:
        return "yes" if probe.verdict == "enough" else "no: too slow"
    error = probe.failure.error
    reason = error.message.partition("\n")[0] if error else ""
    return f"no: {failure(probe.failure)}{reason and f': {reason}'}"
