"""Makes the tables that `sparkscale bench-plan` prints."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Heading, Text, name, share
from sparkscale.analysis.questions.fitting import LEVEL
from sparkscale.analysis.statistics import Array
from sparkscale.evidence.own_forecasts import HIGH_ERROR, MEDIAN_ERROR, QUALITY_ERROR, Judged, summary
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


def own_records(judged: Mapping[str, Sequence[Judged]]) -> list[Block]:
    """Returns a table of the forecasts of own records, by where the records are. Nothing if there are none."""
    if not judged:
        return []
    everything = [one for of_path in judged.values() for one in of_path]
    rows = [row for path, ones in judged.items() for row in _own_rows(path, ones)]
    rows += _own_rows("all", everything) if len(judged) > 1 else []
    columns = (
        name("records"),
        name("held out"),
        Column("pre-\ndicted", ",", priority=2),
        Column("re-\nfused", ",", priority=3),
        name("median\nerror"),
        name("90th\npct."),
        Column("cov-\nered", ".0%"),
        name("bar"),
    )
    return [
        Heading("On own records"),
        Grid("Errors of forecasts of the largest size and the most cores", columns, tuple(rows), is_grouped=True),
        Text(
            "Each is predicted from all smaller sizes, or from fewer cores. The quality with all rows is forecast "
            "from 1/4 and less, and its error is in the units of the quality.",
            is_note=True,
        ),
    ]


def _own_rows(path: str, ones: Sequence[Judged]) -> list[tuple[Cell, ...]]:
    """Returns a row for each thing that was held out."""
    if not ones:
        return [(path, "nothing", 0, 0, None, None, None, "one size only")]
    rows: list[tuple[Cell, ...]] = []
    for what in dict.fromkeys(one.what for one in ones):
        result = summary([one for one in ones if one.what == what])
        if not result.predicted:
            rows.append((path, what, 0, result.refused, None, None, None, "nothing predicted"))
            continue
        is_quality = what == "quality"
        met = result.median <= (QUALITY_ERROR if is_quality else MEDIAN_ERROR)
        met = met and (is_quality or result.high <= HIGH_ERROR)
        bar = f"{QUALITY_ERROR:g}" if is_quality else f"{MEDIAN_ERROR:.0%}, {HIGH_ERROR:.0%}"
        form = ".4f" if is_quality else ".1%"
        errors = (f"{result.median:{form}}", f"{result.high:{form}}")
        verdict = f"{bar} {'met' if met else 'missed'}"
        rows.append((path, what, result.predicted, result.refused, *errors, result.covered, verdict))
    return rows
