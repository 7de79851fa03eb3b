"""Draws batch inference: rows per second of each engine, where Spark's time goes, which engine to use."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis import circumstances
from sparkscale.analysis.drawing import NOTHING, rate, seconds, share, spread, table
from sparkscale.analysis.patterns.inference import comparison as inference
from sparkscale.analysis.patterns.inference.comparison import Comparison, Way
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import show_fraction
from sparkscale.contract.wording import count

MIB = 2**20


def comparison(found: Comparison) -> Iterator[RenderableType]:
    """What is said of one model on the same rows."""
    case = found.case
    which = "all training rows" if case.fraction == 1 else f"{show_fraction(case.fraction)} of the training rows"
    yield Text(
        f"{case.workload} on {case.dataset}, {which}, cluster {case.cluster}, {case.device}: "
        f"{found.ways[0].declared.summary}",
        style="bold",
    )
    yield Text(", ".join(f"{name} {value}" for name, value in found.parameters.items()), style="dim")
    yield from _sizes(found)
    yield _rates(found)
    if rungs := found.rungs:
        yield _tax(found, rungs)
    if said := inference.advice(found):
        yield Text(said, style="bold")
    yield from _footnotes(found)


def _sizes(found: Comparison) -> Iterator[Text]:
    """Of what every engine reads, and of what they write."""
    ways = [way for way in found.ways if way.figure("bytes_written")]
    if not ways:
        return
    model, read = (_mib(ways[0].figure(name)) for name in ("model_bytes", "bytes_read"))
    written = [_mib(way.figure("bytes_written")) for way in ways]
    least, most = (f"{size:,.1f}" for size in (min(written), max(written)))
    yield Text(
        f"{found.case.rows:,} rows; the model has {model:,.1f} MiB, {read:,.1f} MiB are read, "
        f"{least if least == most else f'{least} to {most}'} written",
        style="dim",
    )


def _mib(found: Spread | None) -> float:
    return found.median / MIB if found else 0.0


def _rates(found: Comparison) -> Table:
    drawn = table(
        "Parquet in, Parquet out: median (range)",
        "engine",
        "load +\npredict, s",
        "1,000 rows/s",
        f"over\n{found.native.engine if found.native else 'one node'}",
        "efficiency",
        "loads",
        "s of\nloading",
    )
    for way in found.ways:
        drawn.add_row(
            way.label,
            seconds(way.times),
            rate(way.rows_per_second, thousands),
            spread(Spread.of(way.over(found.native)), "{:.2f}".format),
            share(way.efficiency(found.one_thread)),
            _median(way.figure("model_loads"), "{:,.0f}"),
            _median(way.figure("model_load_seconds"), "{:.2f}"),
        )
    return drawn


def _median(found: Spread | None, form: str) -> str:
    return form.format(found.median) if found else NOTHING


def thousands(value: float) -> str:
    return f"{value / 1e3:,.0f}" if value >= 1e5 else f"{value / 1e3:,.1f}"


TOLD = {
    "parquet-map": "inside Spark's tasks, on Parquet references",
    "arrow-in": "rows read by Spark, Arrow in",
    "map-in-arrow": "a DataFrame in and out",
}


def _tax(found: Comparison, rungs: list[Way]) -> Table:
    drawn = table(
        "The Spark tax: the same prediction, rung by rung",
        "rung",
        "1,000 rows/s",
        "of the rung\nbefore",
        "of native on\nall cores",
        "efficiency",
    )
    for number, way in enumerate(rungs):
        native = "native, one thread" if way.threads else f"native, all cores ({way.label})"
        before = rungs[number - 1] if number else None
        drawn.add_row(
            TOLD.get(way.engine, native),
            rate(way.rows_per_second, thousands),
            share(Spread.of(way.over(before))),
            share(Spread.of(way.over(found.native))),
            share(way.efficiency(found.one_thread)),
        )
    return drawn


def _footnotes(found: Comparison) -> Iterator[Text]:
    rounds = max((len(way.timed) for way in found.ways), default=0)
    yield Text(
        f"{count(rounds, 'round')}, each in a fresh worker and JVM, after warm-ups in it. "
        "Every row was compared with the reference. Efficiency is rows per second over those of one thread of one "
        "process, times the cores. Loads, and seconds of loading, are those of all processes together.",
        style="dim",
    )
    yield from (Text(note, style="dim") for note in circumstances.notes(found.case, found.records))
    engines = [way.engine for way in found.ways]
    yield from (Text(note, style="dim") for note in circumstances.differences(found.ways[0].declared, engines))
