"""Makes the tables that `sparkscale bench-plan` prints."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Heading, Text, name, share
from sparkscale.analysis.questions.fitting import LEVEL
from sparkscale.analysis.statistics import Array
from sparkscale.evidence.plan_bench import Outcome
from sparkscale.evidence.public_runtimes import DataSet

COVERAGE = (0.85, 0.95)
"""The share of measured runs that 90 % intervals should contain."""


def bench(data_sets: Sequence[DataSet], results: Sequence[Outcome]) -> list[Block]:
    """Returns the tables of errors and of simpler forecasts, and texts on coverage, refusals and unused runs."""
    return [
        Heading("How well the run time is forecast, on published runs", 1),
        _errors(results),
        Text(
            "12 nodes are predicted from 2 to 10, the largest size from smaller ones, and both at once from smaller "
            "sizes on fewer nodes. 3 × 3: three sizes on three scale-outs predict what is larger in both. The next "
            "scale-out is predicted from at least three smaller ones. An error is relative to the median of the "
            "measured runs, and is positive if the forecast is too long. A bar is the mean error to beat; the second "
            "one was stated for jobs within memory.",
            is_note=True,
        ),
        _coverage(results),
        _simpler(results),
        Text(
            "Plain Ernest has four terms, and minimizes absolute residuals of all runs. The last value is the "
            "largest size on the most nodes, scaled by the size per node. All have the same predictions.",
            is_note=True,
        ),
        *_refused(results),
        *(Text(f"Left out of {each.name}: {each.left_out}.") for each in data_sets if each.left_out),
    ]


def _errors(results: Sequence[Outcome]) -> Grid:
    columns = (
        name("data set"),
        name("what"),
        Column("pre-\ndicted", ",", priority=2),
        Column("re-\nfused", ",", priority=3),
        Column("mean\nerror", ".1%"),
        Column("me-\ndian", ".1%", priority=4),
        Column("90th\npct.", ".1%", priority=1),
        Column("mean\nsigned", "+.1%", priority=1),
        Column("cov-\nered", ".0%"),
        name("bar"),
    )
    return Grid("Errors of the forecasts", columns, tuple(_row(each) for each in results), is_grouped=True)


def _row(outcome: Outcome) -> tuple[Cell, ...]:
    sizes = np.abs(outcome.errors)
    figures: tuple[Cell, ...] = (None,) * 5
    if len(sizes):
        high = float(np.quantile(sizes, 0.9))
        covered = float(outcome.covered.mean())
        figures = (float(sizes.mean()), float(np.median(sizes)), high, float(outcome.errors.mean()), covered)
    judged = ", ".join(
        f"{bar * 100:g} % {'met' if sizes.mean() < bar else 'missed'}" for bar in outcome.bars if len(sizes)
    )
    return (outcome.data_set, outcome.protocol, len(sizes), outcome.refused.total(), *figures, judged or "none")


def _coverage(results: Sequence[Outcome]) -> Text:
    covered = np.concatenate([each.covered for each in results])
    low, high = COVERAGE
    verdict = "met" if len(covered) and low <= covered.mean() <= high else "missed"
    mean = f"{covered.mean():.1%}" if len(covered) else "None"
    return Text(
        f"{mean} of {len(covered):,} measured runs lie within their {LEVEL:.0%} interval. The bar is {low:.0%} to "
        f"{high:.0%}: {verdict}."
    )


def _simpler(results: Sequence[Outcome]) -> Grid:
    columns = (
        name("data set"),
        name("what"),
        share("this model"),
        share("plain Ernest"),
        share("last value"),
    )
    rows = tuple(
        (each.data_set, each.protocol, *(_mean(errors) for errors in (each.errors, each.ernest, each.last_value)))
        for each in results
    )
    return Grid("Mean error beside simpler forecasts", columns, rows, is_grouped=True)


def _mean(errors: Array) -> float | None:
    return float(np.abs(errors).mean()) if len(errors) else None


def _refused(results: Sequence[Outcome]) -> list[Block]:
    """Returns a text with the reasons for refusals, or nothing if there are none."""
    reasons = sum((each.refused for each in results), Counter[str]())
    if not reasons:
        return []
    listed = "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common())
    return [Text(f"{reasons.total()} predictions were refused: {listed}.")]
