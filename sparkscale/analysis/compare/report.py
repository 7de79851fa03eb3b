"""The blocks of a comparison of two sides: first what became worse or better, then a table for each workload."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Cell, Column, Estimated, Grid, Heading, Text, Verdict, Warning
from sparkscale.analysis.compare.compare import Compared, Finding
from sparkscale.analysis.compare.pairing import changes
from sparkscale.analysis.compare.row import Row
from sparkscale.analysis.compare.rows import ALL
from sparkscale.analysis.compare.side import KEYS, Subject, differing_parameters, labels
from sparkscale.analysis.questions.two_sides import median_interval, smallest_p
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.phrases import count, named, number

MOST_NAMED = 6
"""The largest number of cases that a sentence names."""
ROW_KEYS = ("engine", "set", "parameters", "fraction")
"""The properties that are columns of a table, if the user names none. The others stand in its heading."""
MIB = 2**20


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
    yield from _outcomes(compared)
    yield from _missing(compared)
    by_heading: dict[str, list[Row]] = defaultdict(list)
    for row in compared.rows:
        by_heading[_heading(row.subject, (*row_keys, *compared.ignored))].append(row)
    for heading, rows in by_heading.items():
        yield Heading(heading or "All cases")
        yield _table(rows, [key for key in row_keys if key not in compared.ignored])
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
    unresolved = compared.with_change("not resolved")
    sentences.append(f"{count(len(compared.with_change('same')), 'comparison')} the same.")
    if unresolved:
        sentences.append(f"{count(len(unresolved), 'comparison')} not resolved{_largest_hidden(unresolved)}.")
    if short := compared.without_enough_rounds:
        sentences.append(f"For {len(short)} of them too few rounds were measured{_why_too_few(compared, short)}.")
    if missing := _gaps(compared):
        sentences.append(f"Something is missing: {missing}.")
    verdict: Verdict = "yes" if compared.worse else "not resolved" if unresolved or compared.is_incomplete else "no"
    return Answer(
        " ".join(sentences),
        verdict,
        would_resolve=_would_resolve(compared) if verdict == "not resolved" else "",
        question="Did it get worse?",
        subject=f"{compared.head.name} against {compared.base.name}",
    )


def _labels(compared: Compared) -> dict[Subject, str]:
    pairing = compared.pairing
    return labels(
        list(dict.fromkeys([*(pair.head for pair in pairing.pairs), *pairing.only_base, *pairing.only_head]))
    )


def _changed(one: Row | Finding, words: dict[Subject, str]) -> str:
    """Returns a change in words: "… xgboost flights 1 on local (time_to_model × 1.15)"."""
    if isinstance(one, Finding):
        return f"{words[one.subject]} ({one.head.words}; base: {one.base.words})"
    ratio = one.measured.ratio if one.measured else None
    factor = f" × {ratio:.2f}" if ratio is not None and math.isfinite(ratio) else ""
    return f"{words[one.subject]} ({one.metric}{factor})"


def _largest_hidden(rows: Sequence[Row]) -> str:
    """Returns what the rows that are not resolved could hide: the largest ratio that their intervals contain."""
    worst = [
        bounds.high if row.direction == "lower" else 1 / bounds.low
        for row in rows
        if row.measured and row.measured.ratio is not None and (bounds := row.measured.interval) and row.direction
        if bounds.low > 0
    ]
    finite = [value for value in worst if math.isfinite(value)]
    if not finite or len(worst) < len(rows):
        return ""
    return f": each could be worse by a factor of at most {max(finite):.2f}"


def _why_too_few(compared: Compared, short: Sequence[Row]) -> str:
    """Returns why no difference can be shown: p cannot be small enough with so few rounds. Empty for qualities."""
    tested = [row.rounds for row in short if row.measured]
    if not tested:
        return ""
    most = max(tested, key=lambda rounds: -smallest_p(*rounds))
    return (
        f": p of {most[0]}+{most[1]} rounds cannot be below {number(smallest_p(*most), 2)}, and "
        f"{count(compared.tests, 'test')} together need {count(compared.fewest_rounds, 'round')} of each side"
    )


def _gaps(compared: Compared) -> str:
    """Returns, in words, what is missing on a side or was not measured. Empty if nothing is."""
    pairing = compared.pairing
    parts = [
        f"{count(len(pairing.only_base), 'case')} of the base" if pairing.only_base else "",
        f"{count(len(pairing.only_head), 'case')} of the head" if pairing.only_head else "",
        f"{count(len(compared.neither), 'case')} without a result" if compared.neither else "",
        f"{count(len(compared.absent), 'metric')} of cases" if compared.absent else "",
    ]
    return ", ".join(filter(None, parts))


def _would_resolve(compared: Compared) -> str:
    unresolved = compared.with_change("not resolved")
    needed = sorted({row.needed for row in unresolved if row.needed})
    parts = []
    if needed:
        span = f"{needed[0]}" if len(needed) == 1 else f"{needed[0]} to {needed[-1]}"
        parts.append(f"about {span} rounds of each side")
    by_need = Counter(row.needs for row in unresolved if row.needs and not row.needed)
    parts += [f"{need} for {count(number_of, 'comparison')}" for need, number_of in by_need.items()]
    return ", ".join(parts) or "what is missing"


def _outcomes(compared: Compared) -> Iterator[Grid]:
    """Yields a table of the cases that ended differently on the two sides."""
    if compared.findings:
        words = _labels(compared)
        columns = (
            blocks.name("case"),
            blocks.name("base"),
            blocks.name("head"),
            blocks.name("verdict"),
            blocks.prose("reason"),
        )
        rows = tuple(
            (
                words[one.subject],
                one.base.words,
                one.head.words,
                one.change or "its results are compared",
                one.base.reason or one.head.reason or None,
            )
            for one in compared.findings
        )
        yield Grid("Cases with other outcomes than ok", columns, rows)


def _missing(compared: Compared) -> Iterator[Warning]:
    words = _labels(compared)
    for name, subjects in (("base", compared.pairing.only_base), ("head", compared.pairing.only_head)):
        if subjects:
            yield Warning(
                f"Only the {name} has {count(len(subjects), 'case')}: "
                f"{named([words[subject] for subject in subjects], MOST_NAMED, '; ')}."
            )
    if compared.neither:
        texts = [f"{words[one.subject]} ({one.head.words})" for one in compared.neither]
        yield Warning(
            f"Neither side has a result for {count(len(compared.neither), 'case')}: {named(texts, MOST_NAMED, '; ')}."
        )
    by_reason: dict[str, list[str]] = defaultdict(list)
    for one in compared.absent:
        by_reason[one.reason].append(words[one.subject] + ("" if one.metric == ALL else f" ({one.metric})"))
    for reason, texts in by_reason.items():
        yield Warning(f"Not compared, because {reason}: {named(texts, MOST_NAMED, '; ')}.")
    for metric in compared.unknown_rules:
        yield Warning(f"A threshold ([[gate]]) names the metric {metric}, which no record has.")
    for side in (compared.base, compared.head):
        for text in side.left_out:
            yield Warning(f"{side.name}: {text}.")


def _heading(subject: Subject, row_keys: Sequence[str]) -> str:
    """Returns the properties of a case that are not columns: "data_parallel.gradient_boosting on flights, local"."""
    return ", ".join(subject.value(key) for key in KEYS if key not in (*row_keys, "parameters"))


def _table(rows: Sequence[Row], row_keys: Sequence[str]) -> Grid:
    parameters = differing_parameters(list(dict.fromkeys(row.subject for row in rows)))
    shown = {
        key: [parameters[row.subject] if key == "parameters" else row.subject.value(key) for row in rows]
        for key in row_keys
    }
    used = [key for key in row_keys if key in ("engine", "fraction") or len(set(shown[key])) > 1]
    columns = (
        *(blocks.name(key, priority=3 if key == "parameters" else 0) for key in used),
        blocks.name("metric"),
        Column("base", ".4g", large=(1e4, ",.0f"), beyond="timeout", priority=2),
        Column("head", ".4g", large=(1e4, ",.0f"), beyond="timeout", priority=2),
        Column("head against base", ".3f", beyond="∞"),
        blocks.name("verdict"),
        blocks.name("to resolve it", priority=3),
        blocks.name("p and rounds", priority=1),
    )
    cells = tuple(
        (*(shown[key][position] or None for key in used), *_cells(row)) for position, row in enumerate(rows)
    )
    return Grid("Base and head, case by case", columns, cells, is_grouped=True)


def _cells(row: Row) -> tuple[Cell, ...]:
    scale, unit = (1 / MIB, "MiB") if row.unit == "bytes" else (1.0, row.unit)
    return (
        f"{row.metric}{unit and f', {unit}'}",
        _median(row.base, scale),
        _median(row.head, scale),
        _effect(row),
        f"{row.change}, exactly" if row.exact and row.change != "not resolved" else row.change,
        row.needs or None,
        _test(row),
    )


def _median(values: Sequence[float], scale: float) -> Estimated:
    """Returns the median with its interval. There is no interval with fewer than 6 rounds."""
    bounds = median_interval(values)
    scaled = bounds and Interval(bounds.low * scale, bounds.high * scale)
    return Estimated(float(np.median(values)) * scale, scaled)


def _effect(row: Row) -> Cell:
    """Returns the ratio of the head to the base. For a quality it is the difference, if the tolerance is one."""
    if row.exact:
        return Estimated(float(np.median(row.exact))) if row.given_up is None else "equal"
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
    bounds = estimate.interval
    if criterion.judged.relative:
        sign = -criterion.sign
        interval = bounds and Interval(*sorted((1 + sign * bounds.low, 1 + sign * bounds.high)))
        return Estimated(1 + sign * estimate.value, interval)
    sign = -criterion.sign
    low_high = sorted((sign * bounds.low, sign * bounds.high)) if bounds else []
    shown = f" [{', '.join(f'{value:+.4f}' for value in low_high)}]" if low_high else ""
    return f"{sign * estimate.value:+.4f}{shown}"


def _test(row: Row) -> str:
    """Returns the adjusted p and the numbers of rounds: "p=0.002 n=8+8"."""
    base, head = row.rounds
    p = "" if row.adjusted_p is None else f"p={number(row.adjusted_p, 2)} "
    return f"{p}n={base}+{head}"


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
    one_sided = len(compared.pairing.only_base) + len(compared.pairing.only_head) + len(compared.findings)
    if one_sided or left_out:
        yield Text(
            f"The means do not cover everything: {count(one_sided, 'case')} with other outcomes, or of one side "
            f"only, and {count(left_out, 'comparison')} without a ratio.",
            is_note=True,
        )


def _notes(compared: Compared) -> Iterator[Text]:
    default = compared.limits.default
    yield Text(
        f"Base and head are medians, with their {1 - compared.alpha:.0%} interval from 6 rounds on. A metric is "
        f"worse or better if p is at most {compared.alpha:.2g} and the whole interval of the ratio lies beyond the "
        f"threshold, {default:.0%} (below 1 / {1 + default:g} or above {1 + default:g}). It is the same if the whole "
        "interval lies within. p is that of the exact test of Mann and Whitney, two-sided, adjusted for all "
        f"{count(compared.tests, 'test')} by Holm's method. A quality is paired on its seeds and, where scores are "
        "stored, on the units of the hold-out; its threshold is the tolerance of the workload.",
        is_note=True,
    )
    stated = [f"{rule.metric} {rule.threshold:g} ({rule.workload}, {rule.engine})" for rule in compared.limits.rules]
    if stated:
        yield Text(f"Thresholds of the suite: {'; '.join(stated)}.", is_note=True)
