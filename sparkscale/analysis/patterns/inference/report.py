"""The report of batch inference: rows per second of each engine, the Spark tax, and the engine to use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkscale.analysis import blocks, circumstances, metrics
from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Grid, Text
from sparkscale.analysis.patterns.drawing import ranking
from sparkscale.analysis.patterns.inference.comparison import (
    VARIANT_PARAMETERS,
    Predictions,
    Variant,
    advice,
    comparisons,
)
from sparkscale.analysis.patterns.protocol import with_evidence
from sparkscale.analysis.price import Price, costs, price_of
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

MIB = 2**20

RUNGS = {
    "parquet-map": "inside Spark's tasks, on Parquet references",
    "arrow-in": "rows read by Spark, Arrow in",
    "map-in-arrow": "a DataFrame in and out",
}
"""The name of each step of the Spark tax in tables, by engine."""


def reports(store: Store, records: Sequence[RunRecord]) -> list["PredictionsReport"]:
    """Returns a report for each workload, data set, sample, cluster, device and model."""
    return [PredictionsReport(item, price_of(store, item.records)) for item in comparisons(records)]


@dataclass(frozen=True)
class PredictionsReport:
    """The report on the engines that apply one model to the same rows."""

    comparison: Predictions
    price: Price | None = None
    """The price of the cluster. None if it is not known."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.comparison.case.params_without("arguments", *VARIANT_PARAMETERS)

    @property
    def subject(self) -> str:
        case = self.comparison.case
        which = "all training rows" if case.fraction == 1 else f"{show_fraction(case.fraction)} of the training rows"
        return f"{case.workload} on {case.dataset}, {which}, cluster {case.cluster}, {case.device}"

    def answers(self) -> list[Answer]:
        """Returns an answer that says which engine to use. Empty if fewer than two engines can be compared."""
        answer = advice(self.comparison)
        return [with_evidence(answer, self.comparison.records)] if answer else []

    @property
    def cluster(self) -> str:
        return self.comparison.case.cluster

    @property
    def cases(self) -> Iterable[Case]:
        return [variant.case for variant in self.comparison.variants]

    def charts(self) -> Iterator[Chart]:
        """Yields a chart of the rows per second of each engine, and the Spark tax as a waterfall."""
        compared = [(variant.label, variant) for variant in self.comparison.variants]
        yield ranking("Rows per second", "rows per second: median and range", compared, metrics.rows_per_second)
        rungs = [(_rung(variant), variant) for variant in self.comparison.rungs if not variant.threads]
        steps = ranking(
            "The Spark tax: what each step adds to the time",
            "seconds for a million rows, all steps so far; a bar is what a step adds",
            rungs,
            lambda record: 1e6 / metrics.rows_per_second(record),
        )
        is_whole = all(variant.has_every_time for _, variant in rungs)
        yield replace(steps, kind="waterfall") if is_whole else steps

    def blocks(self) -> Iterator[Block]:
        comparison = self.comparison
        yield Text(comparison.variants[0].declared.summary)
        yield Text(", ".join(f"{name} {value}" for name, value in comparison.parameters.items()), is_note=True)
        yield from self._sizes()
        yield self._rates()
        if rungs := comparison.rungs:
            yield self._tax(rungs)
        yield from self._footnotes()

    def _sizes(self) -> Iterator[Text]:
        """Yields a note: the number of rows, the size of the model, and the MiB that engines read and write."""
        variants = [variant for variant in self.comparison.variants if variant.figure("bytes_written")]
        if not variants:
            return
        model, read = (_mib(variants[0].figure(name)) for name in ("model_bytes", "bytes_read"))
        written = [_mib(variant.figure("bytes_written")) for variant in variants]
        least, most = (f"{size:,.1f}" for size in (min(written), max(written)))
        yield Text(
            f"{self.comparison.case.rows:,} rows; the model takes {model:,.1f} MiB; each engine reads {read:,.1f} "
            f"MiB and writes {least if least == most else f'{least} to {most}'} MiB",
            is_note=True,
        )

    def _rates(self) -> Grid:
        comparison = self.comparison
        native = comparison.native
        of_predictions = [variant.seconds_per_million for variant in comparison.variants]
        cost, cost_cells = costs(self.price, "a million", of_predictions, priority=1)
        columns = (
            blocks.name("engine"),
            blocks.seconds("load +\npredict, s", priority=2),
            rate("1,000 rows/s"),
            *cost,
            Column(f"over\n{native.engine if native else 'one node'}", ".2f"),
            blocks.share("efficiency", priority=1),
            Column("loads", ",.0f", priority=3),
            Column("s of\nloading", ".2f", priority=4),
        )
        rows = tuple(
            (
                variant.label,
                variant.times,
                variant.rows_per_second,
                *cost_cell,
                Spread.of(variant.over(native)),
                variant.efficiency(comparison.one_thread),
                _median(variant.figure("model_loads")),
                _median(variant.figure("model_load_seconds")),
            )
            for variant, cost_cell in zip(comparison.variants, cost_cells, strict=True)
        )
        return Grid("Parquet in, Parquet out: median (range)", columns, rows)

    def _tax(self, rungs: list[Variant]) -> Grid:
        comparison = self.comparison
        columns = (
            blocks.name("rung"),
            rate("1,000 rows/s"),
            blocks.share("of the rung\nbefore"),
            blocks.share("of native on\nall cores"),
            blocks.share("efficiency", priority=1),
        )
        rows = []
        for number, variant in enumerate(rungs):
            before = rungs[number - 1] if number else None
            rows.append(
                (
                    _rung(variant),
                    variant.rows_per_second,
                    Spread.of(variant.over(before)),
                    Spread.of(variant.over(comparison.native)),
                    variant.efficiency(comparison.one_thread),
                )
            )
        return Grid("The Spark tax: the same prediction, rung by rung", columns, tuple(rows))

    def _footnotes(self) -> Iterator[Text]:
        comparison = self.comparison
        rounds = len({record.round for record in comparison.records})
        notes = [
            f"{count(rounds, 'round')}, each in a fresh worker and JVM, after warm-ups in it. Every row was compared "
            "with the reference. Efficiency is rows per second over those of one thread of one process, times the "
            "cores. Loads, and seconds of loading, are those of all processes together.",
            *([self.price.note(comparison.case.cluster)] if self.price else []),
            *circumstances.notes(comparison.case, comparison.records),
            *circumstances.differences(
                comparison.variants[0].declared, [variant.engine for variant in comparison.variants]
            ),
        ]
        yield from (Text(note, is_note=True) for note in notes)


def _rung(variant: Variant) -> str:
    """Returns the name of a variant as a step of the Spark tax."""
    native = "native, one thread" if variant.threads else f"native, all cores ({variant.label})"
    return f"{variant.engine}: {RUNGS[variant.engine]}" if variant.engine in RUNGS else native


def rate(heading: str) -> Column:
    """Returns a column of rows per second, in thousands. A timeout counts as slower than any rate."""
    return Column(heading, ",.1f", scale=1e-3, large=(1e5, ",.0f"), beyond="timeout", counts=True)


def _mib(spread: Spread | None) -> float:
    return spread.median / MIB if spread else 0.0


def _median(spread: Spread | None) -> float | None:
    return spread.median if spread else None
