"""Makes the tables that `sparkscale evidence sides` and `sparkscale evidence gate` print."""

from collections.abc import Sequence

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Text, name
from sparkscale.analysis.patterns.per_group.comparison import CONTROL
from sparkscale.analysis.questions.two_sides import ALPHA, THRESHOLD
from sparkscale.evidence.gate import (
    COMPARED,
    EDGES,
    FACTORS,
    SLOWER,
    THRESHOLDS,
    Gates,
    Results,
    false_at_edge,
)
from sparkscale.evidence.many_sides import WORSE
from sparkscale.evidence.noise import Noise
from sparkscale.evidence.quality_sides import TOLERANCE, QualityVerdicts
from sparkscale.evidence.sides import Control, Equal, Planted


def sides(
    noise: Noise, equal: Sequence[Equal], planted: Sequence[Planted], controls: Sequence[Control], comparisons: int
) -> list[Block]:
    """Returns tables of the verdicts on equal sides, on sides with one slower case, and on the control."""
    source = f"the noise of {len(noise.shapes):,} real rounds of {len(noise.spreads)} cases"
    worst = max(*(one.false for one in equal), *(one.false for one in planted))
    return [
        _equal_grid(equal, source),
        _planted_grid(planted),
        *_control_blocks(controls),
        Text(
            f"Each row rests on {comparisons:,} comparisons, and on as many for each slow-down. At most {worst:.1%} "
            f"of them have a false verdict; {ALPHA:.0%} are allowed. The bootstrap resamples the medians of both "
            "sides. In these shares of equal cases its interval does not contain 1, or lies wholly beyond the "
            "threshold.",
            is_note=True,
        ),
    ]


def _equal_grid(equal: Sequence[Equal], source: str) -> Grid:
    columns = (
        Column("rounds of\neach side"),
        Column("cases\nat once"),
        Column("false verdicts:\ncomparisons", ".1%"),
        Column("false verdicts:\ncases", ".2%"),
        Column("same", ".0%"),
        Column("not\nresolved", ".0%"),
        Column("bootstrap:\nwithout 1", ".1%", priority=1),
        Column("bootstrap:\nbeyond", ".1%", priority=2),
    )
    rows = tuple(
        (
            one.rounds,
            one.compared,
            one.false,
            one.false_cases,
            one.same,
            one.not_resolved,
            one.bootstrap,
            one.bootstrap_beyond,
        )
        for one in equal
    )
    return Grid(f"Equal sides, with {source}", columns, rows)


def _planted_grid(planted: Sequence[Planted]) -> Grid:
    factors = sorted({one.factor for one in planted})
    by_row: dict[tuple[int, int], list[Planted]] = {}
    for one in planted:
        by_row.setdefault((one.rounds, one.compared), []).append(one)
    columns = (
        Column("rounds of\neach side"),
        Column("cases\nat once"),
        *(Column(f"found: {factor - 1:.0%}\nslower", ".0%") for factor in factors),
        Column("false verdicts on\nthe other cases", ".1%"),
    )
    rows = tuple(
        (
            *row,
            *(one.detected for one in sorted(of_row, key=lambda one: one.factor)),
            max(one.false for one in of_row),
        )
        for row, of_row in by_row.items()
    )
    return Grid(f"One case is slower; the threshold is {THRESHOLD:.0%}", columns, rows)


def quality(judged: Sequence[QualityVerdicts], cases: int, comparisons: int) -> list[Block]:
    """Returns a table of the verdicts on the AUC by number of rounds. `cases` counts the cases with real models."""
    if not judged:
        return [Text("No case has an AUC of three different models or more, so no losses are simulated.")]
    losses = sorted({one.loss for one in judged if one.loss})
    by_rounds: dict[int, dict[float, QualityVerdicts]] = {}
    for one in judged:
        by_rounds.setdefault(one.rounds, {})[one.loss] = one
    columns = (
        Column("rounds\n(seeds)"),
        Column("no loss:\nfalse", ".1%"),
        Column("no loss:\nsame", ".0%"),
        *(Column(f"worse:\nloss {loss:g}", ".1%") for loss in losses),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (rounds, of[0.0].worse + of[0.0].better, of[0.0].same, *(of[loss].worse for loss in losses))
        for rounds, of in by_rounds.items()
    )
    return [
        Grid(f"AUC of real models of {cases} cases; the tolerance is {TOLERANCE:g}", columns, rows),
        Text(
            f"Each share rests on {comparisons:,} comparisons. Both sides of a seed are models of different seeds. A "
            f"loss of {TOLERANCE:g} is as large as the tolerance, so that {ALPHA / 2:.1%} of verdicts may be worse.",
            is_note=True,
        ),
    ]


def _control_blocks(controls: Sequence[Control]) -> list[Block]:
    first, second = CONTROL
    if not controls:
        return [Text(f"No case has {first} and {second} in five rounds or more, so there is no real control.")]
    columns = (
        name("case"),
        Column("rounds"),
        Column("ratio", ".2f"),
        name("interval"),
        Column("adjusted p", ".3f"),
        name("verdict"),
    )
    rows = tuple(
        (
            one.case.label,
            one.measured.rounds[0],
            one.measured.ratio,
            f"{bounds.low:.2f}–{bounds.high:.2f}" if (bounds := one.measured.interval) else None,
            one.adjusted_p,
            one.change,
        )
        for one in controls
    )
    return [Grid(f"Control: {first} against {second}, which run the same code", columns, rows)]


def gate(noise: Noise, results: Results) -> list[Block]:
    """Returns tables of the verdicts by rule: on equal sides, close to the threshold, and on one slower case."""
    allowed = ALPHA / 2
    return [
        _equal_gates(noise, results),
        _edge_gates(results),
        _slower_gates(results),
        Text(
            f"Each share rests on {results.gates:,} gates, at the edge of the threshold on {10 * results.gates:,}. "
            f"{ALPHA:.0%} of the gates may have a false verdict, and {allowed:.1%} of the comparisons at the edge. "
            "`naive` tests after every round at the full level.",
            is_note=True,
        ),
    ]


def _by_rule(gates: Sequence[tuple[float, Gates]]) -> dict[tuple[int, str], list[tuple[float, Gates]]]:
    rows: dict[tuple[int, str], list[tuple[float, Gates]]] = {}
    for value, one in gates:
        rows.setdefault((one.rounds, one.rule), []).append((value, one))
    return rows


def _equal_gates(noise: Noise, results: Results) -> Grid:
    columns = (
        Column("rounds"),
        name("rule"),
        *(
            Column(f"{compared} at once,\nthreshold {threshold:.0%}", ".1%")
            for threshold in THRESHOLDS
            for compared in COMPARED
        ),
        Column("rounds\nsaved", ".0%"),
    )
    rows: list[tuple[Cell, ...]] = []
    for (rounds, rule), gates in _by_rule(results.equal).items():
        saved = [one.saved for threshold, one in gates if threshold == THRESHOLD]
        rows.append((rounds, rule, *(one.false for _, one in gates), sum(saved) / len(saved)))
    title = f"Gates of equal sides with a false verdict, with the noise of {len(noise.shapes):,} real rounds"
    return Grid(title, columns, tuple(rows))


def _edge_gates(results: Results) -> Grid:
    columns = (
        Column("rounds"),
        name("rule"),
        *(Column(f"true ratio\n{ratio:.4f}", ".2%") for ratio in EDGES),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (rounds, rule, *(false_at_edge(ratio, one) for ratio, one in gates))
        for (rounds, rule), gates in _by_rule(results.edge).items()
    )
    return Grid("False verdicts on one comparison close to the threshold", columns, rows)


def _slower_gates(results: Results) -> Grid:
    columns = (
        Column("rounds"),
        name("rule"),
        *(Column(f"{factor - 1:.0%}:\nfound", ".0%") for factor in FACTORS),
        *(Column(f"{factor - 1:.0%}: mean\nrounds of it", ".1f") for factor in FACTORS),
        Column("saved\nof all", ".0%"),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            rounds,
            rule,
            *(one.share(WORSE, 0) for _, one in gates),
            *(float(one.ended[:, 0].mean()) for _, one in gates),
            sum(one.saved for _, one in gates) / len(gates),
        )
        for (rounds, rule), gates in _by_rule(results.slower).items()
    )
    return Grid(f"One of {SLOWER} cases is slower", columns, rows)
