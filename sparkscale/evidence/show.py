"""The evidence as tables."""

import math
from collections.abc import Sequence

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Text, name
from sparkscale.analysis.statistics import LEVEL
from sparkscale.evidence.coverage import AGAIN, LEAST, MOST, SELDOM, Covered
from sparkscale.evidence.holdouts import Kind, Study


def coverage(found: Sequence[Covered], repeats: int) -> list[Block]:
    """A row for each scenario, and how many shares lie outside the limits."""
    columns = (
        name("of"),
        Column("units", priority=3),
        Column("rounds", priority=2),
        Column("posi-\ntives", ",", priority=6),
        Column("nega-\ntives", ",", priority=6),
        Column("rows\na unit", priority=4),
        Column("varies\nmost", priority=4),
        Column("simu-\nlations", ",", priority=5),
        Column("quality"),
        Column("difference"),
        Column("crossed boot-\nstrap (diff.)", ".1%", priority=7),
        Column("no interval\n(diff.)", ".0%", priority=1),
    )
    rows = tuple(_covered_row(one) for one in found)
    shares = [share for one in found for share in one.shares]
    outside = [share for share in shares if not LEAST <= share <= MOST]
    worst = f", the furthest at {min(shares):.1%} and {max(shares):.1%}" if outside else ""
    again = sum(one.repeats > repeats for one in found)
    seldom = sum(math.isnan(one.difference) and one.not_given < 1 for one in found)
    errors = [100 * (LEVEL * (1 - LEVEL) / times) ** 0.5 for times in (repeats, AGAIN * repeats)]
    return [
        Grid(f"How often a {LEVEL:.0%} interval holds the truth", columns, rows),
        Text(
            f"{len(shares) - len(outside)} of {len(shares)} shares lie between {LEAST:.0%} and {MOST:.0%}; "
            f"{len(outside)} do not (marked *){worst}. A share of {repeats:,} intervals has a standard error of "
            f"{errors[0]:.1f} points. {again} of {len(found)} scenarios had a share outside, and were simulated "
            f"again, {AGAIN * repeats:,} times ({errors[1]:.1f} points). Where intervals are not always given, a "
            f"share rests on fewer; {seldom} differences are left out, for less than {SELDOM:.0%} of simulations "
            "gave one."
        ),
    ]


def _covered_row(one: Covered) -> tuple[Cell, ...]:
    scenario = one.scenario
    of_rounds = scenario.kind == "rounds"
    return (
        scenario.kind.replace("_", " "),
        None if of_rounds else str(scenario.units),
        str(scenario.seeds),
        *((scenario.positives, scenario.negatives) if scenario.positives else (None, None)),
        None if of_rounds else "even" if scenario.even else "uneven",
        None if of_rounds else scenario.dominant,
        one.repeats,
        *(_share(share) for share in (one.level, one.difference)),
        None if math.isnan(one.percentile) else one.percentile,
        None if of_rounds else one.not_given,
    )


def _share(share: float) -> str | None:
    """Marked where it lies outside the limits."""
    if math.isnan(share):
        return None
    return f"{share:.1%}" + ("" if LEAST <= share <= MOST else " *")


def holdouts(found: Sequence[Study]) -> list[Block]:
    """Two rows for each length of a block: judged as reports did before, and as they do now."""
    columns = (
        Column("days a block"),
        Column("blocks\nheld out", priority=3),
        name("judged"),
        Column("mean", ".4f"),
        Column("spread\nof draws", ".4f", priority=1),
        Column("printed\nst. error", ".4f"),
        Column("intervals hold\nown mean", ".0%"),
        Column("… mean of\nlongest blocks", ".0%", priority=2),
    )
    title = "AUC given up by the sample: printed standard errors against fresh hold-outs, samples and seeds"
    kinds: tuple[Kind, ...] = ("before", "after")
    honest = max(found, key=lambda study: study.length).mean("after") if found else math.nan
    rows = tuple(_study_row(study, kind, honest) for study in found for kind in kinds)
    return [Grid(title, columns, rows, is_grouped=True)]


def _study_row(study: Study, kind: Kind, honest: float) -> tuple[Cell, ...]:
    shares = (study.covered(kind, study.mean(kind)), study.covered(kind, honest))
    return (
        str(study.length),
        study.blocks,
        {"before": "one seed, by days", "after": "all seeds, by blocks"}[kind],
        study.mean(kind),
        study.spread(kind),
        *(None if math.isnan(number) else number for number in (study.claimed(kind), *shares)),
    )
