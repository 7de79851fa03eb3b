"""Draws the evidence as tables for a terminal."""

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis import drawing
from sparkscale.analysis.drawing import NOTHING
from sparkscale.analysis.statistics import LEVEL
from sparkscale.evidence.coverage import AGAIN, LEAST, MOST, SELDOM, Covered
from sparkscale.evidence.holdouts import Kind, Study


def coverage(found: Sequence[Covered], repeats: int) -> RenderableType:
    """A row for each scenario, and how many shares lie outside the limits."""
    table = drawing.table(
        f"How often a {LEVEL:.0%} interval holds the truth",
        "of",
        "units",
        "rounds",
        "posi-\ntives",
        "nega-\ntives",
        "rows\na unit",
        "varies\nmost",
        "simu-\nlations",
        "quality",
        "difference",
        "crossed boot-\nstrap (diff.)",
        "no interval\n(diff.)",
        left=1,
    )
    for one in found:
        scenario = one.scenario
        classes = [f"{scenario.positives:,}", f"{scenario.negatives:,}"] if scenario.positives else [NOTHING] * 2
        of_rounds = scenario.kind == "rounds"
        table.add_row(
            scenario.kind.replace("_", " "),
            NOTHING if of_rounds else str(scenario.units),
            str(scenario.seeds),
            *classes,
            NOTHING if of_rounds else "even" if scenario.even else "uneven",
            NOTHING if of_rounds else scenario.dominant,
            f"{one.repeats:,}",
            *(_share(share) for share in (one.level, one.difference)),
            NOTHING if math.isnan(one.percentile) else f"{one.percentile:.1%}",
            NOTHING if of_rounds else f"{one.not_given:.0%}",
        )
    shares = [share for one in found for share in one.shares]
    outside = [share for share in shares if not LEAST <= share <= MOST]
    worst = f", the furthest at {min(shares):.1%} and {max(shares):.1%}" if outside else ""
    again = sum(one.repeats > repeats for one in found)
    seldom = sum(math.isnan(one.difference) and one.not_given < 1 for one in found)
    errors = [100 * (LEVEL * (1 - LEVEL) / times) ** 0.5 for times in (repeats, AGAIN * repeats)]
    return Group(
        table,
        Text(
            f"{len(shares) - len(outside)} of {len(shares)} shares lie between {LEAST:.0%} and {MOST:.0%}; "
            f"{len(outside)} do not (marked *){worst}. A share of {repeats:,} intervals has a standard error of "
            f"{errors[0]:.1f} points. {again} of {len(found)} scenarios had a share outside, and were simulated "
            f"again, {AGAIN * repeats:,} times ({errors[1]:.1f} points). Where intervals are not always given, a "
            f"share rests on fewer; {seldom} differences are left out, for less than {SELDOM:.0%} of simulations "
            "gave one."
        ),
    )


def _share(share: float) -> str:
    if math.isnan(share):
        return NOTHING
    return f"{share:.1%}" + ("" if LEAST <= share <= MOST else " *")


def holdouts(found: Sequence[Study]) -> RenderableType:
    """A row for each length of a block, once judged as reports did before and once as they do now."""
    table: Table = drawing.table(
        "AUC given up by the sample: printed standard errors against fresh hold-outs, samples and seeds",
        "days a block",
        "blocks\nheld out",
        "judged",
        "mean",
        "spread\nof draws",
        "printed\nst. error",
        "intervals hold\nown mean",
        "… mean of\nlongest blocks",
        left=0,
    )
    if not found:
        return table
    honest = max(found, key=lambda study: study.length).mean("after")
    kinds: tuple[Kind, ...] = ("before", "after")
    for study in found:
        for kind in kinds:
            table.add_row(
                str(study.length) if kind == "before" else "",
                study.blocks if kind == "before" else "",
                {"before": "one seed,\nby days", "after": "all seeds,\nby blocks"}[kind],
                f"{study.mean(kind):.4f}",
                f"{study.spread(kind):.4f}",
                NOTHING if math.isnan(study.claimed(kind)) else f"{study.claimed(kind):.4f}",
                _covered(study.covered(kind, study.mean(kind))),
                _covered(study.covered(kind, honest)),
                end_section=kind == "after",
            )
    return table


def _covered(share: float) -> str:
    return NOTHING if math.isnan(share) else f"{share:.0%}"
