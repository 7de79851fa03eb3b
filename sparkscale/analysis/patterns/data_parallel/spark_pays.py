"""Compares each engine on Spark with the other engines of one comparison: from which size is it faster?"""

from collections.abc import Iterator

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Cell, Column, Estimated, Grid
from sparkscale.analysis.patterns.data_parallel.comparison import Tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import placed
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry
from sparkscale.analysis.questions.crossover import Crossover
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.questions.fitting import LEVEL as FIT_LEVEL


def best_on_node(comparison: Tradeoff) -> Iterator[Rivalry]:
    """Yields the rivalry of each engine on Spark with the best single-node engine.

    The best single-node engine is the engine that Spark overtakes last.
    """
    on_node = placed(comparison, "node")
    for engine in placed(comparison, "spark"):
        found = [rivalry for rival in on_node if (rivalry := Rivalry.of(engine, rival))]
        if found:
            yield max(found, key=lambda rivalry: (rivalry.rows, rivalry.slowness))


def crossover_table(comparison: Tradeoff) -> Iterator[Grid]:
    """Yields a table of each engine on Spark against each other engine. Yields nothing with too few sizes."""
    rivalries = [
        rivalry
        for engine in placed(comparison, "spark")
        for rival in comparison.curves
        if rival is not engine and (rivalry := Rivalry.of(engine, rival))
    ]
    if not any(rivalry.crossover for rivalry in rivalries):
        return
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
    yield Grid("From which size is an engine on Spark faster?", columns, rows, is_grouped=True)


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
