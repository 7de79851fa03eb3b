"""Compares clusters: the speed-up of each engine with more cores, and the cores that Spark needs to beat one node."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Grid, Text, Verdict, verdict_of
from sparkscale.analysis.patterns.data_parallel import scaling_charts
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import NodeEngines, placed
from sparkscale.analysis.patterns.data_parallel.scaling_charts import Configuration, Row, paired
from sparkscale.analysis.questions.scaling import FEWEST_COUNTS, Cost, CostKind, Scaling, cost
from sparkscale.analysis.questions.speed_up import strong_scaling, weak_scaling
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import count, number

QUESTION = "How many cores does Spark need?"
VERDICTS: dict[CostKind, Verdict] = {
    "measured": "yes",
    "forecast": "yes",
    "unbounded": "no",
    "beyond": "no",
    "none measured": "no",
    "not resolved": "not resolved",
}
"""The verdict on whether some number of cores beats the single node, for each kind of answer."""


@dataclass(frozen=True)
class Engine:
    """An engine, and its configurations by fraction."""

    name: str
    placement: str
    by_fraction: Mapping[float, tuple[Configuration, ...]]

    def fastest(self, fraction: float) -> list[Configuration]:
        """Returns a configuration for each number of cores, from the fewest to the most.

        If several configurations have the same number of cores, the one that shares the most rounds with other
        numbers of cores is returned, and the fastest if several share as many. So a later run on another cluster does
        not replace one that can be compared.
        """
        every = self.by_fraction.get(fraction, ())
        rounds = {id(one): set(one.cell.seconds_by_round()) for one in every}

        def rank(one: Configuration) -> tuple[int, float]:
            shared = sum(len(rounds[id(one)] & rounds[id(other)]) for other in every if other.cores != one.cores)
            return -shared, one.median

        by_cores: dict[int, list[Configuration]] = defaultdict(list)
        for configuration in every:
            by_cores[configuration.cores].append(configuration)
        return [min(by_cores[cores], key=rank) for cores in sorted(by_cores)]


@dataclass(frozen=True)
class Reference:
    """The single-node engine that Spark has to beat.

    It is the fastest engine with one thread. If one thread was not measured, it is the fastest engine on one node.
    `cores` is the number of its cores. None if it is not stated.
    """

    engine: str
    cell: Cell
    cores: int | None

    @property
    def words(self) -> str:
        if self.cores == 1:
            return f"{self.engine} on one thread"
        return f"{self.engine} on one node" + (f" with {self.cores} cores" if self.cores else "")


@dataclass(frozen=True)
class ScalingReport:
    """The report on one workload that was measured on several clusters.

    `compared` has a comparison for each cluster.
    """

    compared: tuple[Tradeoff, ...]

    @property
    def subject(self) -> str:
        case = self.compared[0].case
        return f"Clusters compared: {case.workload} on {case.dataset}, {case.cluster_kind}, {case.device}"

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.compared[0].case.params_without("arguments")

    @cached_property
    def engines(self) -> list[Engine]:
        """The engines with a time in every round and a known number of cores.

        Engines with fewer threads than the profile grants are left out.
        """
        found: dict[tuple[str, str], dict[float, list[Configuration]]] = defaultdict(lambda: defaultdict(list))
        for comparison in self.compared:
            for curve in comparison.curves:
                for cell in curve.cells:
                    cores = _cores(cell)
                    if cores and cell.has_every_time:
                        configuration = Configuration(cell, cores)
                        found[cell.case.engine, cell.case.placement][cell.case.fraction].append(configuration)
        return [
            Engine(name, placement, {fraction: tuple(of) for fraction, of in by_fraction.items()})
            for (name, placement), by_fraction in found.items()
        ]

    @property
    def scaled(self) -> list[Engine]:
        """The engines that were measured with several numbers of cores on the same rows."""
        return [engine for engine in self.engines if self._fraction(engine) is not None]

    def _fraction(self, engine: Engine) -> float | None:
        """Returns the largest fraction that has times on several numbers of cores. None if there is none."""
        several = [fraction for fraction in engine.by_fraction if len(engine.fastest(fraction)) > 1]
        return max(several, default=None)

    def reference(self, fraction: float) -> Reference | None:
        """Returns the single-node engine to beat on this fraction.

        None if no engine has a time for every execution.
        """
        cells = []
        for comparison in self.compared:
            node = NodeEngines.of(comparison)
            worse = node.worse if node else {}
            curves = [*placed(comparison, "node"), *comparison.one_thread.values()]
            on_fraction = [cell for curve in curves if (cell := curve.cell(fraction)) and cell.has_every_time]
            cells += [cell for cell in on_fraction if cell.case.engine not in worse]
        on_one = [cell for cell in cells if _cores(cell) == 1]
        best = min(on_one or cells, key=lambda cell: cell.seconds.median if cell.seconds else 0.0, default=None)
        return Reference(best.case.engine, best, _cores(best)) if best else None

    def answers(self) -> list[Answer]:
        """Returns one answer: how many cores Spark needs, with a sentence for each engine on Spark."""
        sentences: list[str] = []
        verdicts: list[Verdict] = []
        evidence: list[str] = []
        published = self.compared[0].case.is_published
        for engine in self.scaled:
            fraction = self._fraction(engine)
            if engine.placement != "spark" or fraction is None:
                continue
            reference = self.reference(fraction)
            scaling = self._scaling(engine, fraction, reference) if reference else None
            if reference and scaling:
                found = cost(scaling, has_law=not published)
                sentences.append(_sentence(engine.name, found, reference, engine.fastest(fraction)))
                few = len(scaling.seconds) < FEWEST_ROUNDS and not published
                verdicts.append("not resolved" if few else VERDICTS[found.kind])
                cells = [reference.cell, *(one.cell for one in engine.fastest(fraction))]
                evidence += [record.id for cell in cells for record in cell.records]
        if not sentences:
            return []
        case = self.compared[0].case
        verdict = verdict_of(verdicts)
        resolve = f"{FEWEST_ROUNDS} rounds or more, on {FEWEST_COUNTS} numbers of cores or more"
        if published:
            sentences.append("Others published these times: it is not known how much they vary.")
        return [
            Answer(
                " ".join(sentences),
                verdict,
                tuple(evidence),
                resolve if verdict == "not resolved" else "",
                QUESTION,
                self.compared[0].job,
                f"{case.dataset}, {case.cluster_kind}, {case.device}",
            )
        ]

    def _scaling(self, engine: Engine, fraction: float, reference: Reference) -> Scaling | None:
        """Returns the times of the engine and of the reference, in the rounds that all configurations share.

        None if no round has the times of all configurations.
        """
        configurations = engine.fastest(fraction)
        seconds = paired([*(one.cell for one in configurations), reference.cell])
        return Scaling(_numbers(configurations), seconds[:, :-1], seconds[:, -1]) if len(seconds) else None

    @property
    def cluster(self) -> str:
        """Empty, because the report is about several clusters."""
        return ""

    @property
    def cases(self) -> Iterable[Case]:
        """No cases: the comparisons list their failures."""
        return ()

    def charts(self) -> Iterator[Chart]:
        """Yields charts of seconds and of speed-up against cores, for the same rows on all of them."""
        strong = {engine.name: list(self._strong(engine)) for engine in self.scaled}
        yield from scaling_charts.charts({name: rows for name, rows in strong.items() if rows}, self._without_time())

    def _without_time(self) -> Iterator[tuple[str, int, Cell]]:
        """Yields the engine and the cores of each cell that has no time in some round, on the fractions of charts."""
        fractions = {(engine.name, engine.placement): self._fraction(engine) for engine in self.scaled}
        for comparison in self.compared:
            for curve in comparison.curves:
                for cell in curve.cells:
                    fraction = fractions.get((cell.case.engine, cell.case.placement))
                    cores = _cores(cell)
                    if cores and cell.case.fraction == fraction and not cell.has_every_time:
                        yield cell.case.engine, cores, cell

    def blocks(self) -> Iterator[Block]:
        strong = [row for engine in self.scaled for row in self._strong(engine)]
        if strong:
            yield _table("Strong scaling: the same rows on more cores", "speed-up", strong)
        weak = [row for engine in self.engines for row in self._weak(engine)]
        if weak:
            yield _table("Weak scaling: more rows on more cores, as many for each core", "scaled speed-up", weak)
        yield Text(
            "Speed-up and efficiency are ratios to the fewest cores: median (range) over rounds. Of several clusters "
            "with as many cores, the fastest counts.",
            is_note=True,
        )

    def _strong(self, engine: Engine) -> Iterator[Row]:
        fraction = self._fraction(engine)
        configurations = engine.fastest(fraction) if fraction is not None else []
        seconds = paired([one.cell for one in configurations])
        if len(seconds):
            scaled = strong_scaling(_numbers(configurations), seconds)
            yield from (Row(engine.name, *pair) for pair in zip(configurations, scaled, strict=True))

    def _weak(self, engine: Engine) -> Iterator[Row]:
        """Yields the rows of weak scaling. Fractions are in proportion to numbers of cores."""
        by_cores: dict[int, dict[float, Configuration]] = defaultdict(dict)
        for fraction in engine.by_fraction:
            for configuration in engine.fastest(fraction):
                by_cores[configuration.cores][fraction] = configuration
        if len(by_cores) < 2:
            return
        fewest, most = min(by_cores), max(by_cores)
        start = max(by_cores[most]) * fewest / most
        chosen = [
            by_cores[cores][fraction]
            for cores in sorted(by_cores)
            if (fraction := start * cores / fewest) in by_cores[cores]
        ]
        if len(chosen) < 2:
            return
        seconds = paired([one.cell for one in chosen])
        rows = np.array([float(one.cell.rows) for one in chosen])
        scaled = weak_scaling(_numbers(chosen), rows, seconds) if len(seconds) else None
        by_number = {one.cores: one for one in chosen}
        yield from (Row(engine.name, by_number[round(one.cores)], one) for one in scaled or [])


def scaling_reports(
    compared: Iterable[Tradeoff], links: Callable[[Tradeoff], str] = lambda _: ""
) -> Iterator[ScalingReport]:
    """Yields a report for each workload that several clusters of one kind ran with different numbers of cores.

    Data set, device and parameters are the same on all clusters of a report. So is the key that `links` returns: it
    stands for the links between emulated hosts.
    """
    groups: dict[tuple[str, str], list[Tradeoff]] = defaultdict(list)
    for comparison in compared:
        anywhere = comparison.case.model_copy(update={"cluster": ""})
        groups[anywhere.subject_key("cluster_kind"), links(comparison)].append(comparison)
    for group in groups.values():
        report = ScalingReport(tuple(group))
        if report.scaled and len({comparison.case.cluster for comparison in group}) > 1:
            yield report


def _table(title: str, speed_up: str, rows: Sequence[Row]) -> Grid:
    columns = (
        blocks.name("engine"),
        Column("cores", ","),
        blocks.name("cluster", priority=2),
        Column("rows", ",", priority=1),
        blocks.seconds("time to model, s\nmedian (range)"),
        Column(speed_up, ".2f"),
        blocks.share("efficiency"),
    )
    return Grid(
        title,
        columns,
        tuple(
            (
                row.engine,
                row.configuration.cores,
                row.configuration.cell.case.cluster,
                row.configuration.cell.rows,
                row.scaled.seconds,
                row.scaled.speed_up,
                row.scaled.efficiency,
            )
            for row in rows
        ),
        is_grouped=True,
    )


def _cores(cell: Cell) -> int | None:
    """Returns the cores of a case. None if they are not stated, or if executions differ."""
    found = {record.resources.cores for record in cell.records}
    return found.pop() if len(found) == 1 else None


def _numbers(configurations: Sequence[Configuration]) -> Array:
    """Returns the numbers of cores, of shape (configurations,)."""
    return np.array([float(one.cores) for one in configurations])


def _sentence(engine: str, found: Cost, reference: Reference, configurations: Sequence[Configuration]) -> str:
    """Returns a sentence about the number of cores that one engine needs."""
    bounds = found.interval
    shown = f" ({_number(bounds.low)}–{_number(bounds.high)})" if bounds else ""
    rows, fraction = configurations[-1].cell.rows, show_fraction(configurations[-1].cell.case.fraction)
    on = f"On {rows:,} rows" + ("" if fraction == "1" else f" ({fraction})")
    times = f"{number(found.ratio, 2)} times as long as {reference.words}"
    match found.kind:
        case "measured":
            return f"{on}, {engine} beats {reference.words} from {count(_number(found.cores), 'core')} on{shown}."
        case "forecast":
            law = f"a forecast by the universal scalability law from up to {_number(found.largest)} measured cores"
            return (
                f"{on}, {engine} beats {reference.words} from {count(_number(found.cores), 'core')} on{shown}, {law}."
            )
        case "unbounded":
            limits = found.ratio_interval
            interval = f" ({number(limits.low, 2)}–{number(limits.high, 2)})" if limits else ""
            return (
                f"{on}, no number of cores makes up for it (unbounded): with the best number {engine} would take "
                f"{number(found.ratio, 2)}{interval} times as long as {reference.words}."
            )
        case "beyond":
            return f"{on}, {engine} does not beat {reference.words} with up to {_number(found.farthest)} cores."
        case "none measured":
            best = min(configurations, key=lambda one: one.median)
            cores = count(best.cores, "core")
            return f"{on}, no number of cores measured makes up for it: with {cores} {engine} takes {times}."
        case "not resolved":
            return f"{on}, it is not resolved from how many cores on {engine} beats {reference.words}."


def _number(cores: float) -> str:
    """Returns a number of cores as text, rounded up. The text of an infinite number is "any"."""
    return "any" if np.isinf(cores) else f"{int(np.ceil(cores - 1e-9)):,}"
