"""The blocks of a comparison of two sides: first what became worse or better, then a table for each workload."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Cell, Column, Estimated, Grid, Heading, Text, Verdict, Warning
from sparkscale.analysis.compare import Compared, Finding, Row, Subject, by_change, changes
from sparkscale.analysis.questions.two_sides import ALPHA, median_interval, smallest_p
from sparkscale.analysis.statistics import LEVEL
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import count, named, number

MOST_NAMED = 6
"""The largest number of cases that a sentence names."""


def report(compared: Compared, differing: Sequence[str] = ()) -> Iterator[Block]:
    """Yields the blocks of a comparison.

    `differing` holds, in words, the conditions in which the sides differ although they should not.
    """
    base, head = compared.base, compared.head
    yield Heading(f"{head.name} compared with {base.name}", level=1)
    if told := changes(base, head):
        yield Text(f"The head has {'; '.join(told)}.", is_note=True)
    yield from (Warning(f"The sides differ in more than what is compared: {one}.") for one in differing)
    yield _answer(compared)
    yield from _outcomes(compared.findings)
    yield from _missing(compared)
    by_work: dict[str, list[Row]] = defaultdict(list)
    for row in compared.rows:
        subject = row.subject
        by_work[f"{subject.workload} on {subject.dataset}, cluster {subject.cluster}, {subject.device}"].append(row)
    for work, rows in by_work.items():
        yield Heading(work)
        yield _table(rows)
        yield from _mean(rows)
    yield from _notes(compared)


def _answer(compared: Compared) -> Answer:
    """Returns the answer: did something get worse?"""
    rows = by_change(compared.rows)
    worse = [*(finding.subject.label for finding in compared.findings if finding.change == "worse")]
    worse += [f"{row.subject.label} ({row.metric})" for row in rows["worse"]]
    better = [f"{row.subject.label} ({row.metric})" for row in rows["better"]]
    sentences = []
    if worse:
        sentences.append(f"{count(len(worse), 'comparison')} worse: {named(worse, MOST_NAMED, '; ')}.")
    if better:
        sentences.append(f"{count(len(better), 'comparison')} better: {named(better, MOST_NAMED, '; ')}.")
    sentences.append(f"{count(len(rows['same']), 'comparison')} the same, {len(rows['not resolved'])} not resolved.")
    verdict: Verdict = "yes" if worse else "not resolved" if rows["not resolved"] or not compared.rows else "no"
    needed = sorted({row.needed for row in rows["not resolved"] if row.needed})
    resolve = f"about {' to '.join(map(str, needed[:1] + needed[1:][-1:]))} rounds of each side"
    return Answer(
        " ".join(sentences),
        verdict,
        would_resolve=(resolve if needed else "more rounds of each side") if verdict == "not resolved" else "",
        question="Did it get worse?",
        subject=f"{compared.head.name} against {compared.base.name}",
    )


def _outcomes(findings: Sequence[Finding]) -> Iterator[Grid]:
    """Yields a table of the cases that have a result on one side only."""
    if findings:
        columns = (
            blocks.name("case"),
            blocks.name("base"),
            blocks.name("head"),
            blocks.name("verdict"),
            blocks.prose("reason"),
        )
        rows = tuple((one.subject.label, one.base, one.head, one.change, one.reason or None) for one in findings)
        yield Grid("Cases with a result on one side only", columns, rows)


def _missing(compared: Compared) -> Iterator[Warning]:
    for side, subjects in (("base", compared.only_base), ("head", compared.only_head)):
        if subjects:
            yield Warning(
                f"Only the {side} has {count(len(subjects), 'case')}: "
                f"{named([subject.label for subject in subjects], MOST_NAMED, '; ')}."
            )

    if compared.neither:
        labels = named([subject.label for subject in compared.neither], MOST_NAMED, "; ")
        yield Warning(f"Neither side has a result for {count(len(compared.neither), 'case')}: {labels}.")
    if compared.one_sided:
        metrics = named(list(compared.one_sided), MOST_NAMED, "; ")
        yield Warning(f"Only one side has a value, so that nothing is compared: {metrics}.")


def _table(rows: Sequence[Row]) -> Grid:
    has_parameters = any(row.subject.parameters for row in rows)
    columns = (
        blocks.name("engine"),
        *([blocks.name("parameters", priority=3)] if has_parameters else []),
        blocks.name("fraction"),
        blocks.name("metric"),
        Column(f"base: median\n[{LEVEL:.0%} interval]", ".4g", large=(1e4, ",.0f"), priority=2),
        Column(f"head: median\n[{LEVEL:.0%} interval]", ".4g", large=(1e4, ",.0f"), priority=2),
        Column(f"head over base\n[{LEVEL:.0%} interval]", ".3f"),
        blocks.name("verdict"),
        blocks.name("p and rounds", priority=1),
    )
    return Grid("Base and head, case by case", columns, tuple(_cells(row, has_parameters) for row in rows), True)


def _cells(row: Row, has_parameters: bool) -> tuple[Cell, ...]:
    subject: Subject = row.subject
    unit = f", {row.unit}" if row.unit else ""
    parameters = [subject.parameters or None] if has_parameters else []
    return (
        subject.engine,
        *parameters,
        show_fraction(subject.fraction),
        f"{row.metric}{unit}",
        _median(row.base),
        _median(row.head),
        _ratio(row),
        _verdict(row),
        _test(row),
    )


def _median(values: Sequence[float]) -> Estimated:
    return Estimated(float(np.median(values)), median_interval(values))


def _ratio(row: Row) -> Cell:
    """Returns the ratio of the head to the base. For a quality, what the head gives up."""
    if row.given_up and row.criterion and row.is_exact:
        return "equal"
    if row.given_up and row.criterion:
        bounds = row.given_up.interval
        shown = (
            f" [{row.criterion.show_given_up(bounds.low)}, {row.criterion.show_given_up(bounds.high)}]"
            if bounds
            else ""
        )
        return f"worse by {row.criterion.show_given_up(row.given_up.value)}{shown}"
    if row.found:
        return Estimated(row.found.ratio, row.found.interval)
    return Estimated(1.0) if row.is_exact else None


def _verdict(row: Row) -> str:
    if row.change != "not resolved":
        return f"{row.change}{', exactly' if row.is_exact else ''}"
    return f"not resolved: needs about {row.needed} rounds" if row.needed else "not resolved"


def _test(row: Row) -> str:
    """Returns the adjusted p and the numbers of rounds: "p=0.002 n=8+8"."""
    rounds = f"n={len(row.base)}+{len(row.head)}"
    if row.adjusted_p is None:
        return rounds
    least = smallest_p(len(row.base), len(row.head))
    if least > ALPHA:
        return f"p cannot be below {number(least, 2)}, {rounds}"
    return f"p={number(row.adjusted_p, 2)} {rounds}"


def _mean(rows: Sequence[Row]) -> Iterator[Text]:
    """Yields the geometric mean of the ratios of each metric, over the cases of both sides."""
    by_metric: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.found or (row.is_exact and not row.given_up):
            by_metric[row.metric].append(row.found.ratio if row.found else 1.0)
    means = [
        f"{metric} {math.exp(float(np.mean(np.log(ratios)))):.3f} over {count(len(ratios), 'case')}"
        for metric, ratios in by_metric.items()
    ]
    if means:
        yield Text(f"Geometric mean of head over base: {'; '.join(means)}.", is_note=True)


def _notes(compared: Compared) -> Iterator[Text]:
    yield Text(
        f"A metric is worse or better if p is at most {ALPHA:.2f} and the whole interval of the ratio lies beyond "
        f"{compared.threshold:.0%}; it is the same if the whole interval lies within. p is that of the exact test of "
        "Mann and Whitney, two-sided, adjusted for all tests by Holm's method. The interval of a median needs 6 "
        "rounds, that of a ratio 4. A quality is paired on seeds and on the units of the hold-out, and compared with "
        "its tolerance.",
        is_note=True,
    )
