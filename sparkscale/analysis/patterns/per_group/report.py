"""The report of one model per group: costs of each engine, outcomes of the groups, and the engine to use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sparkscale.analysis import blocks, circumstances
from sparkscale.analysis.blocks import Answer, Block, Cell, Chart, Column, Grid, Text, Warning
from sparkscale.analysis.patterns.drawing import ranking
from sparkscale.analysis.patterns.per_group.comparison import (
    CONTROL,
    JOBLIB,
    LOOP,
    USES,
    Trainings,
    Variant,
    advice,
    comparisons,
)
from sparkscale.analysis.patterns.per_group.metrics import models_per_second
from sparkscale.analysis.patterns.protocol import with_evidence
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.price import Price, costs, price_of
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import count
from sparkscale.contract.record import GROUPS, RunRecord
from sparkscale.store.store import Store

MIB = 2**20


def reports(store: Store, records: Sequence[RunRecord]) -> list["TrainingsReport"]:
    """Returns a report for each workload, data set, grouping, sample, cluster, device and parameters."""
    return [TrainingsReport(item, price_of(store, item.records)) for item in comparisons(store, records)]


def condensed(record: RunRecord, name: str, table: pa.Table) -> tuple[str, pa.Table] | None:
    """Returns what an archive stores of the table `name`: its name and its content.

    The table of groups is reduced to the key, the outcome and the error of groups without a model. Returns None for a
    warm-up's table of groups. Other tables are returned unchanged.
    """
    if name != GROUPS:
        return name, table
    if record.is_warmup:
        return None
    return name, table.filter(pc.not_equal(table.column("outcome"), "ok")).select(["key", "outcome", "error"])


@dataclass(frozen=True)
class TrainingsReport:
    """The report of one workload on one sample of groups. Only the largest sample gets all tables and an answer."""

    comparison: Trainings
    price: Price | None = None
    """The price of the cluster. None if it is not known."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.comparison.case.params_without("arguments")

    @property
    def subject(self) -> str:
        case = self.comparison.case
        which = "all groups" if case.fraction == 1 else f"{show_fraction(case.fraction)} of the groups"
        by = case.params["by"]
        return f"{case.workload} on {case.dataset} by {by}, {which}, cluster {case.cluster}, {case.device}"

    def answers(self) -> list[Answer]:
        """Returns an answer that says which engine to use.

        Empty if a larger sample was measured, or if fewer than two engines can be compared.
        """
        answer = advice(self.comparison) if self.comparison.is_largest else None
        return [with_evidence(answer, self.comparison.records)] if answer else []

    @property
    def cluster(self) -> str:
        return self.comparison.case.cluster

    @property
    def cases(self) -> Iterable[Case]:
        return [variant.case for variant in self.comparison.variants]

    def charts(self) -> Iterator[Chart]:
        """Yields charts of the models per second of each engine, and of the skew of its tasks."""
        compared = [(variant.engine, variant) for variant in self.comparison.variants]
        yield ranking("Models per second", "models per second: median and range", compared, models_per_second)
        if self.comparison.is_largest:
            with_skew = [(label, one) for label, one in compared if one.figure("task_skew")]
            yield ranking(
                "Skew of tasks: the longest task relative to the mean",
                "longest over mean: median and range",
                with_skew,
                lambda record: record.figures.get("task_skew"),
            )

    def blocks(self) -> Iterator[Block]:
        comparison = self.comparison
        yield Text(comparison.variants[0].declared.summary)
        parameters = ", ".join(f"{name} {value}" for name, value in comparison.parameters.items())
        yield Text(parameters or "the library's own defaults", is_note=True)
        yield from self._groups()
        yield from (Warning(warning) for warning in quality_warnings(comparison.records))
        if comparison.disagreeing:
            models_by_engine = "; ".join(
                f"{engine} {' or '.join(f'{number:,.0f}' for number in models)}"
                for engine, models in comparison.disagreeing.items()
            )
            yield Warning(f"The engines do not agree on which groups have a model: {models_by_engine}.")
        yield self._costs()
        if not comparison.is_largest:
            return
        yield self._uses()
        yield self._tasks()
        if comparison.lost:
            yield self._lost()
        yield from self._footnotes()

    def _groups(self) -> Iterator[Text]:
        comparison = self.comparison
        names = ("groups", "models", "group_rows_least", "group_rows_median", "group_rows_most")
        values = [comparison.figure(name) for name in names]
        if None in values:
            return
        groups, models, least, median, most = (float(value or 0) for value in values)
        typical, slowest = comparison.figure("group_seconds_median"), comparison.figure("group_seconds_most")
        times = (
            f"; a fit takes {typical * 1e3:.3g} ms, at most {slowest * 1e3:,.3g} ms" if typical and slowest else ""
        )
        yield Text(
            f"{count(f'{groups:,.0f}', 'group')} of {least:,.0f} to {most:,.0f} rows, median {median:,.0f}, "
            f"hold-outs included; {models:,.0f} have a model{times}",
            is_note=True,
        )

    def _costs(self) -> Grid:
        comparison = self.comparison
        of_models = [variant.seconds_per_1000_models for variant in comparison.variants]
        cost, cost_cells = costs(self.price, "1,000 models", of_models, priority=1)
        columns = (
            blocks.name("engine"),
            blocks.seconds("load + fit, s"),
            blocks.seconds("with layout, s", priority=1),
            *cost,
            Column("models/s", ",.0f", beyond="timeout", counts=True, priority=3),
            Column(f"speed-up over\n{LOOP}", ".2f", priority=4),
            Column(f"speed-up over\n{JOBLIB}", ".2f"),
            Column(f"with layout,\nover {JOBLIB}", ".2f", priority=2),
        )
        loop, joblib = comparison.comparable_variant(LOOP), comparison.comparable_variant(JOBLIB)
        rows = []
        for variant, cost_cell in zip(comparison.variants, cost_cells, strict=True):
            speeds: list[Cell] = [None] * 3
            if comparison.is_comparable(variant):
                speeds = [
                    _over(variant, loop),
                    _over(variant, joblib),
                    _over(variant, joblib, 1) if variant.lays_out else None,
                ]
            with_layout = variant.spread(1) if variant.lays_out else None
            times = (variant.spread(), with_layout, *cost_cell)
            rows.append((variant.engine, *times, variant.models_per_second, *speeds))
        return Grid("Time to all models: median (range)", columns, tuple(rows))

    def _uses(self) -> Grid:
        heads = ["no reuse", *(count(uses - 1, "reuse") for uses in USES[1:])]
        columns = (blocks.name("engine"), *(blocks.seconds(head) for head in heads))
        rows = tuple(
            (variant.engine, *(variant.spread(uses) for uses in USES)) for variant in self.comparison.variants
        )
        return Grid("Seconds of a training, its share of the layout counted", columns, rows)

    def _tasks(self) -> Grid:
        comparison = self.comparison
        names = {quality.name: quality.title for quality in comparison.variants[0].declared.qualities}
        observed = [name for name in names if any(name in record.quality for record in comparison.records)]
        columns = (
            blocks.name("engine"),
            blocks.seconds("layout, s", priority=2),
            Column("shuffled and\nlaid out, MiB", ",.1f", priority=3),
            Column("tasks", ".0f", priority=5),
            Column("skew: longest\nover mean", ".2f", priority=1),
            Column("work on groups,\nof core time", ".1%", priority=4),
            *(Column(names[name], ".4g") for name in observed),
        )
        rows = tuple(
            (variant.engine, *_work(variant), *(_quality(variant, name) for name in observed))
            for variant in comparison.variants
        )
        return Grid("Tasks, shuffle, quality on the groups' hold-outs", columns, rows)

    def _lost(self) -> Grid:
        columns = (
            blocks.name("outcome"),
            Column("groups", ","),
            Column("first of them", priority=1),
            blocks.name("engine"),
            blocks.prose("what it says"),
        )
        rows = tuple(
            (lost.outcome, lost.groups, lost.key, lost.engine or "all", lost.error) for lost in self.comparison.lost
        )
        return Grid("Groups without a model", columns, rows)

    def _footnotes(self) -> Iterator[Text]:
        comparison = self.comparison
        rounds = len({record.round for record in comparison.records})
        yield Text(
            f"{count(rounds, 'round')}, each in a fresh worker and JVM, after warm-ups in it. "
            "Models are on storage when `fit` ends.",
            is_note=True,
        )
        if control := comparison.control():
            ratios, verdict = control
            warning = (
                "" if verdict != "different" else ": they are one code, so distrust differences of this size here"
            )
            first, second = CONTROL
            spread = Spread.of(ratios)
            share = spread.words(".2f") if spread else "an unknown share"
            yield Text(f"Control: {first} takes {share} of {second}'s time: {verdict}{warning}.")
        if self.price:
            counted = "The cost of models is that of load + fit and of the layout."
            yield Text(f"{self.price.note(comparison.case.cluster)} {counted}", is_note=True)
        yield from (Text(note, is_note=True) for note in circumstances.notes(comparison.case, comparison.records))
        engines = [variant.case.engine for variant in comparison.variants]
        differences = circumstances.differences(comparison.variants[0].declared, engines)
        yield from (Text(note, is_note=True) for note in differences)


def _over(variant: Variant, other: Variant | None, uses: float = float("inf")) -> Spread | None:
    return Spread.of(variant.speed_up(other, uses)) if other else None


def _work(variant: Variant) -> Iterator[Cell]:
    """Yields table cells: seconds of the layout, MiB moved, number of tasks, skew, share of work on groups.

    The skew is the time of the longest task divided by the mean time of the tasks.
    """
    moved, tasks = variant.moved_bytes, variant.figure("tasks")
    yield variant.layout
    yield moved.median / MIB if moved else None
    yield tasks.median if tasks else None
    yield variant.figure("task_skew")
    yield variant.work_share


def _quality(variant: Variant, name: str) -> float | None:
    spread = Spread.of([record.quality[name] for record in variant.records if name in record.quality])
    return spread.median if spread else None
