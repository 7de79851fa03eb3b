"""Makes the tables that `sparkscale evidence` prints."""

import math
from collections.abc import Sequence

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Text, name
from sparkscale.analysis.questions import fitting, learning_curve
from sparkscale.analysis.questions.learning_curve import CALIBRATION
from sparkscale.analysis.statistics import LEVEL
from sparkscale.contract.case import show_fraction
from sparkscale.evidence import forecasts as simulation
from sparkscale.evidence.coverage import LEAST, LEAST_SHARE_GIVEN, MOST, REPEAT_FACTOR, Covered
from sparkscale.evidence.fractions import LEVELS, MOST_WRONG, Answered
from sparkscale.evidence.holdouts import Kind, Study
from sparkscale.evidence.learning_curves import Judged


def coverage(results: Sequence[Covered], repeats: int) -> list[Block]:
    """Returns a table with one row per scenario, and a text.

    The table has the shares of intervals that contain the true value. The text says how many of these shares are
    not between LEAST and MOST.
    """
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
    rows = tuple(_covered_row(covered) for covered in results)
    shares = [share for covered in results for share in covered.shares]
    outside = [share for share in shares if not LEAST <= share <= MOST]
    furthest = f", the furthest at {min(shares):.1%} and {max(shares):.1%}" if outside else ""
    repeated = sum(covered.repeats > repeats for covered in results)
    left_out = sum(math.isnan(covered.difference) and covered.not_given < 1 for covered in results)
    standard_errors = [100 * (LEVEL * (1 - LEVEL) / number) ** 0.5 for number in (repeats, REPEAT_FACTOR * repeats)]
    return [
        Grid(f"How often a {LEVEL:.0%} interval contains the true value", columns, rows),
        Text(
            f"{len(shares) - len(outside)} of {len(shares)} shares lie between {LEAST:.0%} and {MOST:.0%}; "
            f"{len(outside)} do not (marked *){furthest}. A share of {repeats:,} intervals has a standard error of "
            f"{standard_errors[0]:.1f} points. {repeated} of {len(results)} scenarios had a share outside, and were "
            f"simulated again, {REPEAT_FACTOR * repeats:,} times ({standard_errors[1]:.1f} points). If intervals are "
            f"not always given, a share rests on fewer. {left_out} differences are left out, because less than "
            f"{LEAST_SHARE_GIVEN:.0%} of simulations gave an interval."
        ),
    ]


def _covered_row(covered: Covered) -> tuple[Cell, ...]:
    scenario = covered.scenario
    of_rounds = scenario.kind == "rounds"
    return (
        scenario.kind.replace("_", " "),
        None if of_rounds else str(scenario.units),
        str(scenario.seeds),
        *((scenario.positives, scenario.negatives) if scenario.positives else (None, None)),
        None if of_rounds else "even" if scenario.even else "uneven",
        None if of_rounds else scenario.dominant,
        covered.repeats,
        *(_share(share) for share in (covered.level, covered.difference)),
        None if math.isnan(covered.percentile) else covered.percentile,
        None if of_rounds else covered.not_given,
    )


def _share(share: float) -> str | None:
    """Returns a share as text, with a mark if the share is not between LEAST and MOST. None for NaN."""
    if math.isnan(share):
        return None
    return f"{share:.1%}" + ("" if LEAST <= share <= MOST else " *")


def curves(results: Sequence[Judged]) -> list[Block]:
    """Returns a table that judges forecasts of published learning curves.

    Each row is for one multiple of the largest fitted size, such as 2 x the rows.
    """
    columns = (
        name("forecast for"),
        Column("curves"),
        Column("refused"),
        Column("error,\nmedian", ".4f"),
        Column("error, 90th\npercentile", ".4f"),
        Column("of the last\nsize, median", ".4f", priority=2),
        Column("of the last\nsize, 90th", ".4f", priority=2),
        Column("factor", ".2f"),
        Column("coverage\nwithout it", ".0%", priority=1),
        Column("coverage,\nother half", ".0%"),
    )
    rows = tuple(
        (
            f"{judged.multiple} × the rows",
            len(judged.measured),
            judged.refused,
            *judged.errors(judged.forecast),
            *judged.errors(judged.last),
            judged.factor,
            judged.covered(1.0, False),
            judged.covered(judged.factor, False),
        )
        for judged in results
    )
    return [
        Grid(f"Forecasts of learning curves, with {learning_curve.LEVEL:.0%} intervals", columns, rows),
        Text(
            "Errors are distances from the measured error rate. Half of the data sets calibrates the factor, by "
            "which the bootstrap's interval is widened, and the other half judges it. Reports use the factor "
            f"{CALIBRATION}.",
            is_note=True,
        ),
    ]


def forecasts(results: Sequence[simulation.Judged]) -> list[Block]:
    """Returns a table with a row for each scenario, and a text that counts the shares outside of their limits."""
    least, most, most_false = simulation.LEAST, simulation.MOST, simulation.FALSE
    columns = (
        name("from how many"),
        name("scenario"),
        Column("true value", ",.0f", beyond="none"),
        Column("rounds"),
        Column("noise", ".0%", priority=3),
        Column("draws", ",", priority=2),
        Column("coverage of\nintervals"),
        Column("resolved", ".1%", priority=1),
        Column("false\nverdicts"),
    )
    rows = tuple(
        (
            judged.scenario.question,
            judged.scenario.name,
            judged.scenario.true_value(),
            str(judged.scenario.rounds),
            judged.scenario.noise,
            judged.repeats,
            f"{judged.covered:.1%}" + (" *" if judged.is_covered_wrongly else ""),
            judged.resolved,
            f"{judged.false:.1%}" + (" *" if judged.false > most_false else ""),
        )
        for judged in results
    )
    wrongly_covered = sum(judged.is_covered_wrongly for judged in results)
    wrong = sum(judged.false > most_false for judged in results)
    return [
        Grid(f"How often a {fitting.LEVEL:.0%} interval contains the true number of rows or cores", columns, rows),
        Text(
            f"{wrongly_covered} of {len(results)} coverages are below {least:.0%}, or above {most:.0%} of a finite "
            f"true value, and {wrong} shares of false verdicts are above {most_false:.0%} (all marked *). A verdict "
            "is false if it says yes and there is no such number within ten times the measured ones, or no and there "
            "is one.",
            is_note=True,
        ),
    ]


def holdouts(studies: Sequence[Study]) -> list[Block]:
    """Returns a table with two rows for each length of a period.

    One row has the estimates as earlier reports made them, the next row as present reports make them.
    """
    columns = (
        Column("days a\nperiod"),
        Column("periods\nheld out", priority=3),
        name("judged"),
        Column("mean", ".4f"),
        Column("spread\nof draws", ".4f", priority=1),
        Column("printed\nst. error", ".4f"),
        Column("intervals contain\nown mean", ".0%"),
        Column("… mean of\nlongest periods", ".0%", priority=2),
    )
    title = "AUC given up by the sample: printed standard errors against fresh hold-outs, samples and seeds"
    kinds: tuple[Kind, ...] = ("before", "after")
    reference = max(studies, key=lambda study: study.length).mean("after") if studies else math.nan
    rows = tuple(_study_row(study, kind, reference) for study in studies for kind in kinds)
    return [Grid(title, columns, rows, is_grouped=True)]


def _study_row(study: Study, kind: Kind, reference: float) -> tuple[Cell, ...]:
    shares = (study.covered(kind, study.mean(kind)), study.covered(kind, reference))
    return (
        str(study.length),
        study.periods,
        {"before": "one seed, by days", "after": "all seeds, by periods"}[kind],
        study.mean(kind),
        study.spread(kind),
        *(None if math.isnan(number) else number for number in (study.claimed(kind), *shares)),
    )


def fractions(results: Sequence[Answered]) -> list[Block]:
    """Returns a table with a row for each simulated curve, and a text that counts the shares above the limit."""
    columns = (
        name("smallest fraction\nthat is enough"),
        Column("units"),
        Column("seeds"),
        name("varies most", priority=2),
        Column("right", ".1%"),
        Column("not\nresolved", ".1%"),
        Column("wrong"),
        Column("names the\nsmallest", ".1%", priority=1),
        *(Column(f"confidences\nbelow {level:.0%}", ".1%", priority=3) for level in LEVELS),
    )
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            "none" if answered.truth.smallest is None else show_fraction(answered.truth.smallest),
            str(answered.truth.units),
            str(answered.truth.seeds),
            answered.truth.dominant,
            answered.right,
            answered.not_resolved,
            f"{answered.wrong:.1%}" + (" *" if answered.wrong > MOST_WRONG else ""),
            answered.exact,
            *answered.below,
        )
        for answered in results
    )
    wrong = sum(answered.wrong > MOST_WRONG for answered in results)
    return [
        Grid('How often the answer to "is a sample enough?" is right', columns, rows),
        Text(
            f"In {wrong} of {len(results)} scenarios more than {MOST_WRONG:.0%} of the answers are wrong (marked *): "
            "they name a fraction that is not enough, or call one too few that is enough. The last columns test the "
            "confidence: it should be below 5 %, 50 % and 95 % as often as that.",
            is_note=True,
        ),
    ]
