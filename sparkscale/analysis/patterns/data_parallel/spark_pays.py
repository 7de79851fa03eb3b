"""Compares each engine on Spark with the other engines of one comparison: from which size is it faster?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Cell, Column, Estimated, Grid
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import NodeEngines, placed
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry
from sparkscale.analysis.questions.crossover import Crossover
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.questions.fitting import LEVEL as FIT_LEVEL


@dataclass(frozen=True)
class SparkPays:
    """The rivalries of each engine on Spark with the other engines of one comparison."""

    comparison: Tradeoff

    @cached_property
    def rivalries(self) -> list[Rivalry]:
        """The rivalry of each engine on Spark with each other engine, in the order of the engines.

        Confidence levels hold for as many verdicts together as there are engines on Spark.
        """
        on_spark = placed(self.comparison, "spark")
        return [
            rivalry
            for engine in on_spark
            for rival in self.comparison.curves
            if rival is not engine and (rivalry := Rivalry.of(engine, rival, len(on_spark)))
        ]

    @cached_property
    def best_on_node(self) -> list[Rivalry]:
        """The rivalry of each engine on Spark with the best single-node engine.

        If each rival has a crossover or an `edge`, the best one is the rival that is overtaken last. Otherwise it is
        the rival with the largest common size, and if several have this size, the fastest there. Engines on one node
        with a worse model (see `NodeEngines`) are no rivals.
        """
        node = NodeEngines.of(self.comparison)
        rivals = {curve.engine for curve in placed(self.comparison, "node")} - (node.worse.keys() if node else set())
        return [
            _best(found)
            for engine in placed(self.comparison, "spark")
            if (found := [one for one in self.rivalries if one.engine is engine and one.rival.engine in rivals])
        ]

    @property
    def overtaken(self) -> list[Rivalry]:
        """The rivalries of engines on Spark that do not pay, but are better than another single-node engine."""
        paying = {id(rivalry.engine) for rivalry in self.best_on_node if rivalry.verdict == "yes"}
        return [
            rivalry
            for rivalry in self.rivalries
            if rivalry.verdict == "yes"
            and id(rivalry.engine) not in paying
            and rivalry.rival.cells[0].case.placement == "node"
        ]

    def table(self) -> Iterator[Grid]:
        """Yields one table with a row for each rivalry.

        Yields nothing if every rivalry has too few sizes for a crossover.
        """
        if any(rivalry.crossover for rivalry in self.rivalries):
            yield _table(self.rivalries)


def _best(rivalries: Sequence[Rivalry]) -> Rivalry:
    """Returns the rivalry with the best rival of one engine (see `SparkPays.best_on_node`)."""
    if all(rivalry.crossover or rivalry.edge is not None for rivalry in rivalries):
        return max(rivalries, key=lambda rivalry: (rivalry.rows, rivalry.slowness))
    return max(rivalries, key=lambda rivalry: (rivalry.rows_of_ratios, rivalry.slowness))


def _table(rivalries: Sequence[Rivalry]) -> Grid:
    level = f"{FIT_LEVEL:.0%}"
    beyond = f"not up to {FARTHEST:.0f} ×"
    has_edges = any(rivalry.edge is not None for rivalry in rivalries)
    columns = (
        blocks.name("engine"),
        blocks.name("rival"),
        Column(f"faster from, rows\n[{level} interval]", ",.0f", beyond=beyond),
        Column(f"time relative to the rival's\nwith {FARTHEST:.0f} × the rows", ".2g", priority=1),
        *([Column("rival out of memory\nfrom, rows", ",")] if has_edges else []),
    )
    rows = tuple(tuple(_row(rivalry, has_edges)) for rivalry in rivalries)
    return Grid("From which size is an engine on Spark faster?", columns, rows, is_grouped=True)


def _row(rivalry: Rivalry, has_edges: bool) -> Iterator[Cell]:
    yield rivalry.engine.engine
    yield rivalry.rival.engine
    found = rivalry.crossover
    yield _since(found) if found else None
    yield found.ratio if found else None
    if has_edges:
        yield rivalry.edge


def _since(found: Crossover) -> Cell:
    """Returns the size from which an engine is faster, for the table."""
    if found.rows == 0 and (found.interval is None or found.interval.high == 0):
        return "every size"
    return Estimated(found.rows, found.interval)
