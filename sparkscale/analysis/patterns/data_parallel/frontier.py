"""Finds the best model that each amount of time buys, among all engines, fractions and model sizes on one cluster.

The points are all cases of one workload on the same data and cluster, with any parameters. A point is on the Pareto
front if no other point is at least as fast and has a better estimate. The best of many estimates is too good on
average. So the table shows how much better each point is than the point before it, paired on seeds and units.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Estimated, Grid, Text
from sparkscale.analysis.crossed import Estimate
from sparkscale.analysis.patterns import drawing
from sparkscale.analysis.patterns.data_parallel import charts
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.price import Price
from sparkscale.analysis.statistics import FEWEST_ROUNDS, LEVEL, Spread, rounds_interval
from sparkscale.contract.case import Case, by_path, show_fraction
from sparkscale.contract.phrases import number

QUESTION = "What is the best model for a given time?"
BUDGETS = (0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)
"""The times in seconds for which an answer is given, if the front spans them."""
MOST_BUDGETS = 3


@dataclass(frozen=True)
class Point:
    """A case with its time to model and the quality of its model. `size` is the model's size; empty if unknown."""

    cell: Cell
    size: str
    seconds: Spread
    quality: Estimate

    @property
    def latest(self) -> float:
        """The seconds that the case may need: the upper end of the interval. With few rounds, the longest time."""
        samples = list(self.cell.seconds_by_round().values())
        return rounds_interval(samples).high if len(samples) >= FEWEST_ROUNDS else self.seconds.high

    @property
    def words(self) -> str:
        """The model in words, such as "xgboost, 1/4 of the rows, 80 trees"."""
        fraction = self.cell.case.fraction
        rows = "all rows" if fraction == 1 else f"{show_fraction(fraction)} of the rows"
        return ", ".join(part for part in (self.cell.case.engine, rows, self.size) if part)


@dataclass(frozen=True)
class Frontier:
    """The report of one workload on one data set and cluster. `compared` holds its comparisons."""

    compared: tuple[Tradeoff, ...]
    price: Price | None

    @property
    def subject(self) -> str:
        case = self.compared[0].case
        return f"Best models for a time: {case.workload} on {case.dataset}, cluster {case.cluster}, {case.device}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {}

    @cached_property
    def front(self) -> list[Point]:
        """The points of the Pareto front, sorted by their time `latest`, the fastest first.

        Qualities that are printed alike count as equal.
        """
        criterion = self.compared[0].criterion
        found: list[Point] = []
        for point in sorted(self._points(), key=lambda one: one.latest):
            if not found or criterion.is_better(point.quality.value, found[-1].quality.value):
                found.append(point)
        return found

    def _points(self) -> Iterator[Point]:
        for comparison in self.compared:
            on_all_cores = (cell for curve in comparison.curves for cell in curve.cells)
            for cell in (*on_all_cores, *comparison.defaults.values()):
                if cell.has_every_time and cell.seconds and cell.quality and not cell.doubt:
                    parts = [_size(comparison, cell), *self._differing(cell)]
                    yield Point(cell, ", ".join(filter(None, parts)), cell.seconds, cell.quality)

    def _differing(self, cell: Cell) -> Iterator[str]:
        """Yields the parameters in which the compared cases differ, apart from the size of the model."""
        left_out = ("set", "capacity", "arguments", self.compared[0].declared.capacity)
        every = [by_path(comparison.case.params_without(*left_out)) for comparison in self.compared]
        own = by_path(cell.case.params_without(*left_out))
        for name, value in own.items():
            if any(other.get(name, value) != value for other in every):
                yield f"{name} {value}"

    def answers(self) -> list[Answer]:
        """Returns one answer, which names the model to use for up to MOST_BUDGETS of BUDGETS.

        Each model is named once, for the shortest of these times. Empty if the front has fewer than two points, or if
        none of BUDGETS lies within its times.
        """
        front = self.front
        if len(front) < 2:
            return []
        spanned = [budget for budget in BUDGETS if front[0].latest <= budget < 10 * front[-1].latest]
        choices = {self._choice(front, budget)[0].words: budget for budget in reversed(spanned)}
        sentences = [self._within(front, budget) for budget in sorted(choices.values())[-MOST_BUDGETS:]]
        return [self._answer(" ".join(sentences), front)] if sentences else []

    def answer_for(self, seconds: float | None, cost: float | None) -> Answer:
        """Returns an answer that names the model to use if it must be ready in `seconds`, or may cost at most `cost`.

        If `cost` is given, `seconds` does not count. If the cluster has no price, the answer for a cost says so.
        """
        front = self.front
        if cost is not None and self.price is None:
            return self._answer("No price of this cluster is known, so no time follows from an amount of money.", [])
        budget = cost / self.price.per_hour * 3600 if cost is not None and self.price else seconds
        assert budget is not None
        if front and front[0].latest <= budget:
            return self._answer(self._within(front, budget), front)
        least = f" The fastest, {front[0].words}, takes about {number(front[0].latest)} s." if front else ""
        return self._answer(f"No model was ready within {number(budget)} s.{least}", front)

    def _choice(self, front: Sequence[Point], budget: float) -> tuple[Point, Point]:
        """Returns two points within the budget: the one to use, and the one with the best estimate.

        `budget` is the time in seconds within which a model must be ready. The point to use is the fastest one that
        is shown to give up at most the tolerance against the best point. If none is, it is the best point. At least
        one point must be within the budget.
        """
        affordable = [point for point in front if point.latest <= budget]
        best = affordable[-1]
        steps = ((point, Step.between(best.cell, point.cell)) for point in affordable[:-1])
        enough = (point for point, step in steps if step and step.verdict == "enough")
        return next(enough, best), best

    def _within(self, front: Sequence[Point], budget: float) -> str:
        """Returns a sentence that names the model to use if it must be ready within `budget` seconds."""
        chosen, best = self._choice(front, budget)
        paid = f" ({self.price.words(self.price.of_seconds(chosen.seconds.median))})" if self.price else ""
        text = (
            f"For {number(budget)} s use {chosen.words}: {self._quality(chosen)} "
            f"in {chosen.seconds.words(unit=' s')}{paid}."
        )
        if chosen is not best:
            tolerated = self.compared[0].criterion.tolerated
            text += f" The best within this time, {best.words}, is better by at most the tolerated {tolerated}."
        return text

    def _quality(self, point: Point) -> str:
        criterion = self.compared[0].criterion
        bounds = point.quality.interval
        shown = f" ({criterion.show(bounds.low)}–{criterion.show(bounds.high)})" if bounds else ""
        return f"{criterion.name} {criterion.show(point.quality.value)}{shown}"

    def _answer(self, text: str, front: Sequence[Point]) -> Answer:
        case = self.compared[0].case
        return Answer(
            text,
            evidence=tuple(record.id for point in front for record in point.cell.records),
            question=QUESTION,
            subject=case.workload.rpartition(".")[2].replace("_", " "),
            scope=f"{case.dataset}, cluster {case.cluster}, {case.device}",
        )

    @property
    def cluster(self) -> str:
        return self.compared[0].case.cluster

    @property
    def cases(self) -> Iterable[Case]:
        """No cases: the comparisons list their failures."""
        return ()

    def charts(self) -> Iterator[Chart]:
        """Yields a chart of quality against time, with the Pareto front as a line."""
        front = self.front
        if len(front) < 2:
            return
        by_engine: dict[str, list[Point]] = defaultdict(list)
        for point in sorted(self._points(), key=lambda one: one.seconds.median):
            by_engine[point.cell.case.engine].append(point)
        line = _points(sorted(front, key=lambda one: one.seconds.median))
        every = [one for engine, found in by_engine.items() for one in drawing.series(engine, _points(found), False)]
        criterion = self.compared[0].criterion
        yield Chart(
            "Quality against time to model",
            "time to model, s: median, and each execution",
            f"{charts.named(criterion)}: estimate and interval",
            tuple(every),
            is_log_x=True,
            dots=tuple(
                dot for points in by_engine.values() for one in points for dot in charts.quality_dots(one.cell)
            ),
            note="The Pareto front is that of all engines and fractions. Cases without time or quality are left out.",
            fits=drawing.series("Pareto front", [point._replace(low=point.y, high=point.y) for point in line]),
        )

    def blocks(self) -> Iterator[Block]:
        criterion = self.compared[0].criterion
        front = self.front
        if len(front) < 2:
            return
        columns = (
            blocks.name("engine"),
            blocks.name("fraction"),
            blocks.name("size", priority=1),
            blocks.seconds("time to model, s\nmedian (range)"),
            Column(f"{criterion.name}\n[{LEVEL:.0%} interval]", criterion.judged.form),
            Column(f"gain over the row above\n[{LEVEL:.0%} interval]", criterion.judged.given_up_form, priority=2),
        )
        rows = tuple(
            (
                point.cell.case.engine,
                show_fraction(point.cell.case.fraction),
                point.size or None,
                point.seconds,
                Estimated(point.quality.value, point.quality.interval),
                Estimated(gain.estimate.value, gain.interval) if (gain := _gain(front, position)) else None,
            )
            for position, point in enumerate(front)
        )
        yield Grid("The Pareto front of quality against time", columns, rows)
        yield Text(
            "Each row is the best model so far by its estimate; every other case is slower or worse. A time counts "
            "by the upper end of its interval, or by the longest of few rounds. If an interval in the last column "
            "contains 0, the row is not shown to be better than the row above.",
            is_note=True,
        )


def frontiers(priced: Iterable[tuple[Tradeoff, Price | None]]) -> Iterator[Frontier]:
    """Yields a report for each workload, data set, cluster and device with at least one point.

    `priced` holds each comparison with the price of its cluster.
    """
    groups: dict[tuple[str, ...], list[tuple[Tradeoff, Price | None]]] = defaultdict(list)
    for comparison, price in priced:
        case = comparison.case
        if comparison.criterion.key and not case.is_published:
            groups[case.workload, case.dataset_id, case.cluster, case.device].append((comparison, price))
    for group in groups.values():
        frontier = Frontier(tuple(comparison for comparison, _ in group), group[0][1])
        if frontier.front:
            yield frontier


def _gain(front: Sequence[Point], position: int) -> Step | None:
    """Returns by how much a point of the front is better than the point before it.

    None for the first point, or if the two points have no scores with the same seeds.
    """
    return Step.between(front[position].cell, front[position - 1].cell) if position else None


def _size(comparison: Tradeoff, cell: Cell) -> str:
    """Returns the size of the models of a case, such as "80 trees". Empty if it is not known."""
    parameter = comparison.declared.capacity
    if cell.case.parameter_set == "tuned" and cell.capacity and comparison.tuned:
        return f"{cell.capacity.median:.0f} {comparison.tuned.param}, tuned"
    if cell.case.parameter_set == "defaults":
        return "defaults"
    value = cell.case.params.get(parameter)
    return "" if value is None else f"{value} {parameter}"


def _points(points: Iterable[Point]) -> list[drawing.Point]:
    return [charts.estimated(point.seconds.median, point.quality, point.cell) for point in points]
