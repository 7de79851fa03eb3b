"""Says before anything is measured if the time is too short, and what it still suffices for."""

from collections.abc import Sequence

from sparkscale.analysis.duration import amount
from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import GridCell, Piece
from sparkscale.contract.errors import ConfigError


def check_time(cells: Sequence[GridCell], seconds_left: float, within_seconds: float) -> str:
    """Returns a note if the time is too short to measure the smallest sample with each engine. Empty if it is not.

    `cells` can run here. `seconds_left` is what is left of `within_seconds`. Raises ConfigError if that is too short
    for any measurement.
    """
    costs = Costs(cells)
    pieces = [Piece(cell, 1) for cell in first_cells(cells)]
    cheapest = min(pieces, key=lambda piece: costs.predicted([piece])[1])
    longest = costs.predicted([cheapest])[1]
    spent = f"{amount(max(1.0, within_seconds - seconds_left))} went into preparing the data"
    if longest > seconds_left:
        raise ConfigError(
            f"--within {amount(within_seconds)} is too short: {spent}, and {cheapest.cell.engine} on "
            f"{cheapest.cell.rows:,} rows may take {amount(longest)}. Give at least --within "
            f"{round(within_seconds - seconds_left + longest + 0.5)}s."
        )
    needed = costs.predicted(pieces)[0]
    if needed <= seconds_left:
        return ""
    fitting: list[Piece] = []
    for piece in pieces:
        if costs.predicted([*fitting, piece])[0] <= seconds_left:
            fitting.append(piece)
    names = ", ".join(dict.fromkeys(piece.cell.engine for piece in fitting))
    return (
        f"{amount(within_seconds)} are too short to measure every engine once: {spent}, and this takes about "
        f"{amount(needed)} more. What is left suffices for {names}, on the smallest sample. "
        f"{_answerable([piece.cell for piece in fitting])}"
    )


def first_cells(cells: Sequence[GridCell]) -> list[GridCell]:
    """Returns the smallest cell of each engine on each profile, engines on one node first."""
    smallest: dict[tuple[str, str, str, str, int | None], GridCell] = {}
    for cell in sorted(cells, key=lambda one: (one.placement, one.rows)):
        smallest.setdefault((cell.workload, cell.engine, cell.cluster, cell.device, cell.threads), cell)
    return list(smallest.values())


def _answerable(cells: Sequence[GridCell]) -> str:
    """Returns a sentence about the questions that these cells can answer."""
    on_node = {cell.engine for cell in cells if cell.placement == "node"}
    on_spark = {cell.engine for cell in cells if cell.placement == "spark"}
    if on_node and on_spark:
        return "Questions may stay open about the other engines."
    if len(on_node) > 1:
        return "So it can only answer which of them is faster, and whether a sample is enough."
    return "So it can answer no question that compares engines."
