"""The report on samples and full data: cost and quality of each engine, and the smallest sample that is enough."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparkscale.analysis import blocks, circumstances, crossed, memory
from sparkscale.analysis.blocks import Answer, Block, Cell, Chart, Column, Estimated, Grid, Text, Warning
from sparkscale.analysis.links import link_of
from sparkscale.analysis.patterns.data_parallel import cell as cells
from sparkscale.analysis.patterns.data_parallel import charts, forecasts
from sparkscale.analysis.patterns.data_parallel.answers import Answers
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, Tradeoff, comparisons
from sparkscale.analysis.patterns.data_parallel.frontier import frontiers
from sparkscale.analysis.patterns.data_parallel.memory_growth import memory_growth
from sparkscale.analysis.patterns.data_parallel.scaling_report import scaling_reports
from sparkscale.analysis.patterns.protocol import Comparison
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.price import Price, costs, price_of
from sparkscale.analysis.statistics import LEVEL
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import certainty, count
from sparkscale.contract.record import RunRecord
from sparkscale.contract.units import FEWEST_UNITS
from sparkscale.store.store import Store

FIRST_RUN = (
    "First run is what a one-off job pays: from the start of a new worker, Spark's session included, to its model, "
    "with nothing warmed up."
)


def reports(store: Store, records: Sequence[RunRecord]) -> list[Comparison]:
    """Returns a report for each workload, data set, cluster, device and parameters.

    After these come the reports on the best models for a time, and the reports that compare clusters.
    """
    compared = comparisons(store, records)
    priced = [(item, price_of(store, item.records)) for item in compared]
    return [
        *(TradeoffReport(item, price) for item, price in priced),
        *frontiers(priced),
        *scaling_reports(compared, lambda item: _links(store, item)),
    ]


def _links(store: Store, compared: Tradeoff) -> str:
    """Returns a key for the requested links of a comparison's emulated hosts. Empty if its hosts are real."""
    found = {link for record in compared.records if (link := link_of(store, record))}
    return ", ".join(sorted({f"{link.requested:g} {link.delay_seconds:g}" for link in found}))


@dataclass(frozen=True)
class TradeoffReport:
    """The report of one comparison."""

    comparison: Tradeoff
    price: Price | None = None
    """The price of the cluster. None if it is not known."""

    @property
    def subject(self) -> str:
        case = self.comparison.case
        size = f", {self.comparison.size}" if self.comparison.size and not self.comparison.tuned else ""
        return f"{case.workload} on {case.dataset}, cluster {case.cluster}, {case.device}{size}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.comparison.case.params_without("arguments")

    @property
    def is_judged(self) -> bool:
        """True if the compared workload declares a quality for the learning task."""
        return bool(self.comparison.criterion.key)

    def answers(self) -> list[Answer]:
        """Returns the answers: is a sample enough, which engine is best on one node, from which size does Spark pay?

        Questions without measurements are left out.
        """
        return list(self._answers.every())

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self.comparison, self.price)

    @property
    def cluster(self) -> str:
        return self.comparison.case.cluster

    @property
    def cases(self) -> Iterable[Case]:
        return [record.case for record in self.comparison.executed]

    def charts(self) -> Iterator[Chart]:
        """Yields charts of time and of quality against rows, and of what a sample gives up."""
        yield charts.times(self.comparison, self._answers.spark_pays.best_on_node)
        if self.is_judged:
            yield charts.qualities(self.comparison)
        if self.comparison.judges_samples:
            yield charts.given_up(self.comparison)

    def blocks(self) -> Iterator[Block]:
        comparison = self.comparison
        yield Text(comparison.declared.summary)
        parameters = ", ".join(f"{name} {value}" for name, value in comparison.case.stated.items())
        without = "no parameters are stated" if comparison.case.is_published else "each library's own defaults"
        yield Text(parameters or without, is_note=True)
        if chosen := comparison.tuned:
            yield Text(
                f"Tuned: {chosen.param} from {chosen.least} to {chosen.most}, chosen for each engine and fraction on "
                "a fifth of the training units; the search is time of fit."
            )
        yield from (Warning(warning) for warning in quality_warnings(comparison.records))
        yield from self._passing_the_ceiling()
        if self.comparison.judges_samples:
            yield self._samples()
            yield from forecasts.forecasts(self.comparison)
        yield self._curves()
        yield from self._answers.spark_pays.table()
        yield from memory_growth(self.comparison)
        yield from self._ceiling()
        yield from self._beside()
        if comparison.defaults:
            yield self._defaults()
        yield from self._footnotes()

    def _curves(self) -> Grid:
        comparison = self.comparison
        criterion = comparison.criterion
        judged_on = "" if comparison.case.is_published else " on the hold-out"
        interval = f"\n[{LEVEL:.0%} interval]" if criterion.judged.estimator else ""
        quality = Column(f"{criterion.name}{judged_on}{interval}", criterion.judged.form)
        below = Column(f"below the ceiling\n[{LEVEL:.0%} interval]", criterion.judged.given_up_form, priority=2)
        cost, cost_cells = costs(self.price, "a model", [cell.seconds for cell in comparison.cells])
        columns = [
            blocks.name("engine"),
            blocks.name("fraction"),
            Column("rows", ",", priority=4),
            blocks.seconds("time to model, s\nmedian (range)"),
            *cost,
            *([blocks.seconds("first run, s\ncold, with start", priority=3)] if comparison.has_first_runs else []),
            *([quality] if self.is_judged else []),
            *([Column(comparison.tuned.param, ".0f", priority=1)] if comparison.tuned else []),
            *([] if comparison.ceiling is None else [below]),
            *([Column(memory.HEADING, priority=5)] if comparison.has_memory else []),
        ]
        names = [curve.engine for curve in comparison.shown for _ in curve.cells]
        rows = [
            (name, show_fraction(cell.case.fraction), cell.rows, cell.seconds, *cost_cell, *self._measured(cell))
            for name, cell, cost_cell in zip(names, comparison.cells, cost_cells, strict=True)
        ]
        return Grid("Cost and quality of each engine", tuple(columns), tuple(rows), is_grouped=True)

    def _measured(self, cell: cells.Cell) -> Iterator[Cell]:
        comparison = self.comparison
        if comparison.has_first_runs:
            yield cell.first_run
        if self.is_judged:
            yield _estimated(cell.quality, bool(cell.doubt))
        if comparison.tuned:
            yield cell.capacity
        if comparison.ceiling is not None:
            yield _estimated(cell.below_ceiling.estimate) if cell.below_ceiling else None
        if comparison.has_memory:
            yield memory.shown(cell.records)

    def _passing_the_ceiling(self) -> Iterator[Warning]:
        for cell in self.comparison.cells if self.comparison.ceiling is not None else []:
            if cell.below_ceiling and cell.below_ceiling.interval and cell.below_ceiling.interval.high < 0:
                yield Warning(f"{cell.case.label} passes the ceiling by more than noise: suspect a leak.")

    def _ceiling(self) -> Iterator[Text]:
        """Yields a sentence about the ceiling. Yields nothing if the ceiling is not known."""
        if self.comparison.ceiling is not None:
            criterion = self.comparison.criterion
            value = f"{criterion.name} {criterion.show(self.comparison.ceiling)}"
            yield Text(
                f"Ceiling on this hold-out: {value}, which {criterion.truth} reach. "
                "A model can pass it by chance only."
            )

    def _beside(self) -> Iterator[Grid]:
        """Yields a table of further qualities and figures of the workload, if some were observed."""
        comparison = self.comparison
        shown = {
            key: heading
            for key, heading in comparison.declared.headings.items()
            if any(cell.observed(key) for cell in comparison.cells)
        }
        if not shown:
            return
        columns = (
            blocks.name("engine"),
            blocks.name("fraction"),
            *(Column(heading, ".4g", priority=number) for number, heading in enumerate(shown.values())),
        )
        rows = tuple(
            (curve.engine, show_fraction(cell.case.fraction), *(cell.observed(key) for key in shown))
            for curve in comparison.shown
            for cell in curve.cells
        )
        yield Grid("Further qualities and figures: median (range)", columns, rows, is_grouped=True)

    def _samples(self) -> Grid:
        comparison = self.comparison
        has_memory = any(memory.needed(cell.records) for cell in comparison.cells if cell.case.fraction < 1)
        columns = (
            blocks.name("engine"),
            blocks.prose("smallest fraction"),
            blocks.name("compared", priority=1),
            Column(
                f"{comparison.criterion.name} given up\n[{LEVEL:.0%} interval]",
                comparison.criterion.judged.given_up_form,
            ),
            Column("confidence that\nit is enough", priority=2),
            blocks.share("share of time\nwith all data"),
            *([blocks.share("share of memory\nwith all data", priority=3)] if has_memory else []),
        )
        rows = tuple(self._sample(curve, has_memory) for curve in comparison.curves)
        size = f", for models with {comparison.size}" if comparison.size else ""
        within = comparison.criterion.within
        title = f"Is a sample enough? Smallest fraction with {within} of the same engine's model on all data"
        return Grid(title + size, columns, rows)

    def _sample(self, curve: EngineCurve, has_memory: bool) -> tuple[Cell, ...]:
        answer = curve.answer
        step = answer.step
        if step is None:
            return (curve.engine, answer.text, *[None] * (5 if has_memory else 4))
        compared = show_fraction(step.fraction)
        shares: list[Cell] = [curve.share_of_full_seconds(step.fraction) if answer.is_enough else None]
        if has_memory:
            shares.append(_memory_share(curve, step.fraction) if answer.is_enough else None)
        confidence = None if step.confidence is None else certainty(step.confidence)
        return (curve.engine, answer.text, compared, _estimated(step.estimate), confidence, *shares)

    def _defaults(self) -> Grid:
        criterion = self.comparison.criterion
        columns = (
            blocks.name("engine"),
            *(Column(f"{criterion.name}\n{which}", criterion.judged.form) for which in ("aligned", "defaults")),
            *(Column(f"{criterion.second}\n{which}", ".4f", priority=2) for which in ("aligned", "defaults")),
            *(blocks.seconds(f"time, s\n{which}") for which in ("aligned", "defaults")),
            blocks.prose("defaults that differ", priority=1),
        )
        rows = []
        for curve in self.comparison.curves:
            default = self.comparison.defaults.get(curve.engine)
            if default is None or curve.full is None:
                continue
            aligned = curve.full.case.arguments
            own = default.case.arguments
            differing = ", ".join(f"{k}={v}" for k, v in own.items() if aligned.get(k) != v) or "none"
            both = (curve.full, default)
            qualities = [cell.quality.value if cell.quality else None for cell in both]
            seconds = [cell.second.median if cell.second else None for cell in both]
            rows.append((curve.engine, *qualities, *seconds, *(cell.seconds for cell in both), differing))
        return Grid("Each library's defaults compared with aligned parameters, on all data", columns, tuple(rows))

    def _footnotes(self) -> Iterator[Text]:
        comparison = self.comparison
        is_published = comparison.case.is_published
        what = "the published time" if is_published else " + ".join(comparison.declared.time_to_model)
        rounds = max((cell.seconds.count for cell in comparison.cells if cell.seconds), default=0)
        times = "1 round, so without a range" if rounds == 1 else f"{rounds} rounds"
        kind = f"{times}, {'' if rounds == 1 else 'each '}in a fresh worker and JVM, after warm-ups in it"
        if rounds == 0:
            isolated = all(record.isolated for record in comparison.records if record.outcome == "ok")
            ok = any(record.outcome == "ok" for record in comparison.records)
            kind = "no execution has one"
            kind += ", because each was the first of its worker" if ok and isolated else ""
        elif is_published:
            kind = times
        notes = [
            f"Time to model is {what}: {kind}.",
            *circumstances.notes(comparison.case, comparison.records),
            self._interval_note(),
            *([FIRST_RUN] if comparison.has_first_runs else []),
            *([memory.NOTE] if comparison.has_memory and not is_published else []),
            *([self.price.note(comparison.case.cluster)] if self.price else []),
            *circumstances.differences(comparison.declared, [cell.case.engine for cell in comparison.cells]),
        ]
        yield from (Text(note, is_note=True) for note in notes if note)

    def _interval_note(self) -> str:
        """Returns a sentence that says what the intervals cover, or why none exist. Empty without qualities."""
        comparison = self.comparison
        estimates = [cell.quality for cell in comparison.cells if cell.quality]
        if not estimates:
            return ""
        name, seeds = comparison.criterion.name, max(estimate.seeds for estimate in estimates)
        shown = next((estimate for estimate in estimates if estimate.interval), None)
        if shown is None:
            why = estimates[0].why_none
            if not why[:1].isdigit():
                return f"{name} has no interval: {why}."
            least = f" (at least {FEWEST_UNITS} effective units are needed)" if "unit" in why else ""
            return f"{name} has no interval: {why} in the hold-out{least}."
        held = f"{count(shown.units, 'unit')} of the hold-out ({shown.effective_units:.0f} effective)"
        drawn = f"and {count(seeds, 'draw')} of sample and model"
        if seeds < crossed.FEWEST_SEEDS:
            rounds = len({record.round for record in comparison.records if not record.isolated})
            why = "all rounds repeat its seeds" if rounds > seeds else "that needs more rounds"
            return f"{name} intervals cover the {held}, and not the draw of sample and model: {why}."
        return f"{name} intervals cover the {held} {drawn}; differences are paired on both."


def _estimated(estimate: crossed.Estimate | None, is_doubtful: bool = False) -> Estimated | None:
    return Estimated(estimate.value, estimate.interval, is_doubtful) if estimate else None


def _memory_share(curve: EngineCurve, fraction: float) -> float | None:
    part = curve.cell(fraction)
    return None if part is None or curve.full is None else memory.share(part.records, curve.full.records)
