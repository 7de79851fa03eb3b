"""The blocks of a comparison of two sides: first what became worse or better, then a table for each workload."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from textwrap import wrap

import numpy as np

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Cell, Column, Estimated, Grid, Heading, Text, Verdict, Warning
from sparkscale.analysis.questions.compare.compare import TOO_NOISY, Compared
from sparkscale.analysis.questions.compare.outcomes import Finding
from sparkscale.analysis.questions.compare.pairing import changes
from sparkscale.analysis.questions.compare.parts import ALL
from sparkscale.analysis.questions.compare.row import Row
from sparkscale.analysis.questions.compare.side import Subject, differing_parameters, labels
from sparkscale.analysis.questions.two_sides import median_interval, smallest_p
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.filter import PROPERTIES
from sparkscale.contract.phrases import count, named, number

MOST_NAMED = 6
"""The largest number of cases that a sentence names."""
ROW_KEYS = ("engine", "set", "parameters", "fraction")
"""The properties that are columns of a table, if the user names none. The others stand in its heading."""
NARROW = 14
"""The width of a line of a cell that says what would resolve a comparison."""
MIB = 2**20
LEAST_P = 1e-4
"""Smaller p values are shown as "p<0.0001"."""


def report(compared: Compared, row_keys: Sequence[str] = ROW_KEYS) -> Iterator[Block]:
    """Yields the blocks of a comparison. `row_keys` names the properties of cases that are columns of the tables."""
    base, head = compared.base, compared.head
    yield Heading(f"{head.name} compared with {base.name}", level=1)
    differing = changes(base, head, compared.pairing.pairs)
    if differing:
        yield Text(f"The head has {'; '.join(differing)}.", is_note=True)
    for one in compared.pairing.refusals:
        yield Warning(f"The sides differ in more than what is compared: {one}.")
    yield answer(compared)
    if all(list(pair.of_base) == list(pair.of_head) for pair in compared.pairing.pairs):
        yield Warning("Both sides hold the same records.")
    yield from _outcomes(compared)
    yield from _not_compared(compared)
    shown = [key for key in row_keys if key not in compared.ignored]
    by_heading: dict[str, list[Row]] = defaultdict(list)
    for row in compared.rows:
        by_heading[_heading(row.subject, (*shown, *compared.ignored))].append(row)
    for heading, rows in by_heading.items():
        yield Heading(heading or "All cases")
        yield _table(rows, shown, compared.alpha)
    yield from _means(compared)
    yield from _notes(compared)


def answer(compared: Compared) -> Answer:
    """Returns the answer: did something get worse?"""
    words = _labels(compared)
    sentences = []
    for changed, name in ((compared.worse, "worse"), (compared.better, "better")):
        if changed:
            texts = [_changed(one, words) for one in changed]
            sentences.append(f"{count(len(changed), 'comparison')} {name}: {named(texts, MOST_NAMED, '; ')}.")
    if different := compared.with_change("different"):
        texts = [_changed(row, words) for row in different]
        sentences.append(f"{len(different)} different: {named(texts, MOST_NAMED, '; ')}.")
    if compared.rows:
        sentences.append(f"{count(len(compared.with_change('same')), 'comparison')} the same.")
    unresolved = compared.with_change("not resolved")
    if unresolved:
        sentences.append(f"{count(len(unresolved), 'comparison')} not resolved{_largest_hidden(unresolved)}.")
    if short := compared.without_enough_rounds:
        sentences.append(f"For {len(short)} of them too few rounds were measured{_why_too_few(compared, short)}.")
    if noisy := compared.too_noisy:
        sentences.append(
            f"{count(len(noisy), 'comparison')} may be over {TOO_NOISY:g} times worse than the threshold allows: too "
            f"noisy to say{_worst_loss(noisy)}."
        )
    if blind := compared.without_interval:
        needs = ", ".join(sorted({row.needs for row in blind}))
        sentences.append(f"{count(len(blind), 'comparison')} of a quality cannot be judged without {needs}.")
    if failing := compared.failing_more:
        texts = [_changed(one, words) for one in failing]
        sentences.append(
            f"{count(len(failing), 'case')} failed more often, which may be chance: {named(texts, MOST_NAMED, '; ')}."
        )
    if missing := _gaps(compared):
        sentences.append(f"{missing}.")
    if compared.pairing.only_head:
        sentences.append(f"{count(len(compared.pairing.only_head), 'case')} new in the head.")
    is_open = compared.is_incomplete or any(not row.is_optional for row in unresolved)
    verdict: Verdict = "yes" if compared.worse else "not resolved" if is_open else "no"
    return Answer(
        " ".join(sentences) or "Nothing was compared.",
        verdict,
        would_resolve=_would_resolve(compared) if verdict == "not resolved" else "",
        question="Did it get worse?",
        subject=f"Is anything worse in {compared.head.name} than in {compared.base.name}",
    )


def _labels(compared: Compared) -> dict[Subject, str]:
    pairing = compared.pairing
    every = [*(pair.head for pair in pairing.pairs), *pairing.only_base, *pairing.only_head]
    return labels(list(dict.fromkeys(every)), compared.ignored)


def _changed(one: Row | Finding, words: dict[Subject, str]) -> str:
    """Returns a change in words: "… xgboost flights 1 on local (time_to_model × 1.15)"."""
    if isinstance(one, Finding):
        kind = f"{one.kind}: " if one.kind else ""
        return f"{words[one.subject]} ({kind}{one.head.words}; base: {one.base.words})"
    ratio = one.measured.ratio if one.measured else float(np.median(one.exact)) if one.exact else None
    factor = f" × {ratio:.2f}" if ratio is not None and math.isfinite(ratio) else ""
    return f"{words[one.subject]} ({one.metric}{factor})"


def _largest_hidden(rows: Sequence[Row]) -> str:
    """Returns what the rows that are not resolved could hide: the largest ratio that their intervals contain."""
    factors = [factor for row in rows if (factor := row.worst_factor) is not None]
    finite = [factor for factor in factors if math.isfinite(factor)]
    if not finite:
        return ""
    unknown = len(rows) - len(finite)
    rest = f"; for {count(unknown, 'other')} no bound is known" if unknown else ""
    return f" (one of these may be worse by a factor of up to {max(finite):.2f}{rest})"


def _worst_loss(noisy: Sequence[Row]) -> str:
    """Returns the largest loss of a quality that these rows may hide, in words. Empty without a quality."""
    worst = [
        (row.given_up.interval.high / row.threshold, row)
        for row in noisy
        if row.given_up and row.given_up.interval and row.threshold
    ]
    if not worst:
        return ""
    _, row = max(worst, key=lambda pair: pair[0])
    assert row.given_up is not None
    assert row.given_up.interval is not None
    return f" ({row.metric} may lose {row.given_up.interval.high:.3g}, and {row.threshold:.3g} is tolerated)"


def _why_too_few(compared: Compared, short: Sequence[Row]) -> str:
    """Returns why no difference can be shown: p cannot be small enough with so few rounds. Empty for qualities."""
    tested = [row.rounds for row in short if row.measured]
    if not tested:
        return ""
    most = min(tested, key=lambda rounds: smallest_p(*rounds))
    tests = compared.planned_tests
    together = f"{tests} tests together need" if tests > 1 else "one test needs"
    return (
        f": p of {most[0]}+{most[1]} rounds cannot be below {number(smallest_p(*most), 2)}, and "
        f"{together} {count(compared.fewest_rounds, 'round')} of each side"
    )


def _gaps(compared: Compared) -> str:
    """Returns, in words, what the head lacks, so that nobody can say whether it became worse. Empty if nothing."""
    parts = [
        f"the head lacks {count(len(compared.pairing.only_base), 'case')} of the base"
        if compared.pairing.only_base
        else "",
        f"{count(len(compared.gaps), 'metric')} of cases could not be compared" if compared.gaps else "",
    ]
    text = ", and ".join(filter(None, parts))
    return text[:1].upper() + text[1:]


def _would_resolve(compared: Compared) -> str:
    unresolved = [row for row in compared.with_change("not resolved") if not row.is_optional]
    needed = sorted({row.needed for row in unresolved if row.needed})
    parts = []
    if needed:
        span = f"{needed[0]}" if len(needed) == 1 else f"{needed[0]} to {needed[-1]}"
        parts.append(f"about {span} rounds of each side")
    by_need = Counter(row.needs for row in unresolved if row.needs and not row.needed)
    parts += [f"{need} for {count(number_of, 'comparison')}" for need, number_of in by_need.items()]
    if compared.failing_more:
        parts.append("more rounds of the cases that failed")
    if compared.pairing.only_base or compared.gaps:
        parts.append("the missing cases and metrics")
    return ", ".join(parts) or "cases that both sides have"


def _outcomes(compared: Compared) -> Iterator[Grid]:
    """Yields a table of the cases that did not end as ok in every execution."""
    if compared.findings:
        words = _labels(compared)
        columns = (
            blocks.name("case"),
            blocks.name("base"),
            blocks.name("head"),
            blocks.name("verdict"),
            blocks.prose("first error", priority=1),
        )
        rows = tuple(
            (
                words[one.subject] + (f", {one.kind}" if one.kind else ""),
                one.base.words,
                one.head.words,
                one.change or "no worse",
                one.head.reason or one.base.reason or None,
            )
            for one in compared.findings
        )
        yield Grid("Cases with other outcomes than ok", columns, rows)


def _not_compared(compared: Compared) -> Iterator[Grid | Warning]:
    """Yields a table of everything that is not compared, and warnings about what the sides leave out."""
    words = _labels(compared)
    rows: list[tuple[Cell, ...]] = []
    for name, subjects in (("base", compared.pairing.only_base), ("head", compared.pairing.only_head)):
        rows += [(words[subject], ALL, f"only the {name} has this case") for subject in subjects]
    rows += [(words[one], ALL, f"neither side has a result ({ended.words})") for one, ended in compared.neither]
    rows += [(words[one.subject], one.metric, one.reason) for one in compared.absent]
    if rows:
        columns = (blocks.name("case"), blocks.name("metric"), blocks.prose("why"))
        yield Grid("What is not compared", columns, tuple(rows), is_grouped=True)
    for metric in compared.unknown_rules:
        yield Warning(f"A threshold ([[gate]]) names the metric {metric}, which no record has.")
    if compared.base.thresholds != compared.head.thresholds:
        yield Warning("Base and head have other thresholds ([[gate]]): those of the head count.")
    for side in (compared.base, compared.head):
        for text in side.left_out:
            yield Warning(f"{side.name}: {text}.")


def _heading(subject: Subject, hidden: Sequence[str]) -> str:
    """Returns the properties of a case that are not columns: "data_parallel.gradient_boosting, flights, local"."""
    return ", ".join(subject.value(key) for key in PROPERTIES if key not in (*hidden, "parameters"))


def _table(rows: Sequence[Row], row_keys: Sequence[str], alpha: float) -> Grid:
    """Returns the table of some cases. A property that all of them share is left out, and stated in the title."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    parameters = differing_parameters(subjects)
    keys = row_keys if "parameters" in row_keys else (*row_keys, "parameters")
    shown = {
        key: [parameters[row.subject] if key == "parameters" else row.subject.value(key) for row in rows]
        for key in keys
    }
    used = [key for key in keys if key in ("engine", "fraction") or len(set(shown[key])) > 1]
    shared = [f"{key} {shown[key][0]}" for key in keys if key not in used and shown[key][0] not in ("", "aligned")]
    columns = (
        *(blocks.name(key) for key in used),
        blocks.name("metric"),
        Column("base", ".4g", large=(1e4, ",.0f"), beyond="timeout", is_relative=True, priority=2),
        Column("head", ".4g", large=(1e4, ",.0f"), beyond="timeout", is_relative=True, priority=2),
        Column("head against\nbase", ".3f", beyond="∞"),
        blocks.name("verdict"),
        blocks.name("p and\nrounds", priority=1),
    )
    cells = tuple(
        (*(shown[key][position] or None for key in used), *_cells(row, alpha)) for position, row in enumerate(rows)
    )
    title = "Base and head, case by case" + (f": {', '.join(shared)}" if shared else "")
    return Grid(title, columns, cells, is_grouped=True)


def _cells(row: Row, alpha: float) -> tuple[Cell, ...]:
    scale, unit = (1 / MIB, "MiB") if row.unit == "bytes" else (1.0, row.unit)
    return (
        f"{row.metric}{unit and f', {unit}'}",
        _median(row.base, scale, alpha),
        _median(row.head, scale, alpha),
        _effect(row),
        _verdict(row),
        _test(row),
    )


def _median(values: Sequence[float], scale: float, alpha: float) -> Estimated:
    """Returns the median with its interval. There is none with few rounds, such as fewer than 6 at 95 %."""
    bounds = median_interval(values, alpha)
    scaled = bounds and Interval(bounds.low * scale, bounds.high * scale)
    return Estimated(float(np.median(values)) * scale, scaled)


def _effect(row: Row) -> Cell:
    """Returns the ratio of the head to the base. For a quality it is the difference, if the tolerance is one."""
    if row.exact:
        if row.given_up is not None:
            return "equal"
        return Estimated(float(np.median(row.exact)), Interval(min(row.exact), max(row.exact)))
    if row.measured:
        if row.measured.ratio is not None:
            return Estimated(row.measured.ratio, row.measured.interval)
        if row.measured.shift is None:
            return "not known"
        bounds = row.measured.interval
        interval = f" [{number(bounds.low)}, {number(bounds.high)}]" if bounds else ""
        return f"{row.measured.shift:+.3g}{interval}"
    return _quality_effect(row)


def _quality_effect(row: Row) -> Cell:
    """Returns what the head gains or loses in a quality: the head minus the base, or the ratio of both."""
    estimate, criterion = row.given_up, row.criterion
    if estimate is None or criterion is None:
        return None
    bounds, sign = estimate.interval, -criterion.sign
    if criterion.judged.relative:
        interval = bounds and Interval(*sorted((1 + sign * bounds.low, 1 + sign * bounds.high)))
        return Estimated(1 + sign * estimate.value, interval)
    ends = sorted((sign * bounds.low, sign * bounds.high)) if bounds else []
    interval_text = f"\n[{', '.join(f'{value:+.4f}' for value in ends)}]" if ends else ""
    return f"{sign * estimate.value:+.4f}{interval_text}"


def _verdict(row: Row) -> str:
    """Returns the verdict, and what would resolve it: "not resolved", then "needs about 12 rounds"."""
    if row.change == "not resolved":
        return "\n".join(["not resolved", *wrap(f"needs {row.needs}" if row.needs else "", NARROW)])
    return f"{row.change}, exactly" if row.exact else row.change


def _test(row: Row) -> str:
    """Returns the adjusted p and the numbers of rounds: "p=0.002 n=8+8"."""
    base, head = row.rounds
    if row.adjusted_p is None:
        return f"n={base}+{head}"
    p = f"<{LEAST_P:g}" if row.adjusted_p < LEAST_P else f"={number(row.adjusted_p, 2)}"
    return f"p{p}\nn={base}+{head}"


def _means(compared: Compared) -> Iterator[Block]:
    """Yields the geometric means of the ratios of each pattern and metric, over the cases that both sides have."""
    by_metric: dict[tuple[str, str], list[float]] = defaultdict(list)
    left_out = 0
    for row in compared.rows:
        if row.given_up is not None:
            continue  # a quality has a difference, and no ratio
        ratios = row.exact or ((row.measured.ratio,) if row.measured else ())
        usable = [ratio for ratio in ratios if ratio is not None and 0 < ratio < math.inf]
        if usable:
            by_metric[row.subject.workload.split(".")[0], row.metric].append(float(np.median(usable)))
        else:
            left_out += 1
    if not by_metric:
        return
    columns = (
        blocks.name("pattern"),
        blocks.name("metric"),
        Column("geometric mean\nof head / base", ".3f"),
        Column("cases", ".0f"),
    )
    rows = tuple(
        (pattern, metric, math.exp(float(np.mean(np.log(ratios)))), len(ratios))
        for (pattern, metric), ratios in by_metric.items()
    )
    yield Heading("All cases together")
    yield Grid("Geometric mean of the ratios", columns, rows)
    results_on_one_side = sum(not one.has_results for one in compared.findings)
    one_sided = len(compared.pairing.only_base) + len(compared.pairing.only_head) + results_on_one_side
    if one_sided or left_out:
        yield Text(
            f"The means do not cover {count(one_sided, 'case')} with a result on one side only, and "
            f"{count(left_out, 'comparison')} without a ratio.",
            is_note=True,
        )


def _notes(compared: Compared) -> Iterator[Text]:
    limit = 1 + compared.limits.default
    level = f"{1 - compared.alpha:.1%}".replace(".0%", "%").replace("%", " %")
    yield Text(
        f"Base and head are medians with their {level} interval, if there are enough rounds for one. A metric is "
        f"worse or better if p is at most {number(compared.alpha, 2)}, and the whole interval of the ratio lies "
        f"beyond the threshold: below 1 / {limit:g} or above {limit:g}. It is the same if the whole interval lies "
        "within.",
        is_note=True,
    )
    yield Text(
        "p is that of the exact test of Mann and Whitney, which Holm's method adjusts for "
        f"{count(compared.tests, 'test')}. A quality is paired on its seeds and, where scores are stored, on the "
        "units of the hold-out. Its difference is a mean, and not that of the medians. Its threshold is the "
        "tolerance of the workload, and its p is that of a change beyond it, by Student's t.",
        is_note=True,
    )
    stated = [f"{rule.metric} {rule.threshold:g} ({rule.workload}, {rule.engine})" for rule in compared.limits.rules]
    if stated:
        yield Text(f"Thresholds of the suite: {'; '.join(stated)}.", is_note=True)
