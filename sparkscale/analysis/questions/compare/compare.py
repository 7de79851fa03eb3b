"""Compares a base with a head, case by case, and judges all comparisons together.

The method is that of `sparkscale.analysis.questions.two_sides`. A case that has a result on one side only is a
finding of its own.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sparkscale.analysis.questions.compare.outcomes import Finding, finding
from sparkscale.analysis.questions.compare.pairing import Pair, Pairing, pair_up
from sparkscale.analysis.questions.compare.parts import ALL, Absent, Limits
from sparkscale.analysis.questions.compare.row import Row, Verdict
from sparkscale.analysis.questions.compare.rows import known_metrics, of_pair
from sparkscale.analysis.questions.compare.side import Outcomes, Side, Subject
from sparkscale.analysis.questions.two_sides import ALPHA, fewest_rounds, holm
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord

TOO_NOISY = 1.5
"""A row that is not resolved says too little if the head may be this many times worse than the threshold allows."""
MOST_SUGGESTED = 3
"""The largest number of similar names that a message suggests."""
Key = tuple[Subject, str]
"""The case of a row or of a finding, and its metric or the kind of its executions."""
Decided = Mapping[Key, Row | Finding]
"""Rows and findings with verdicts of earlier looks, which are final."""


@dataclass(frozen=True)
class Compared:
    """The comparison of two sides.

    `findings` are cases that did not end as ok in every execution, `neither` says how those without a result on both
    sides ended, and `absent` holds the metrics that are not compared. `alpha` is the significance level of all tests
    together. `tests` is their number, and `planned_tests` is what it would be with enough rounds.
    """

    base: Side
    head: Side
    pairing: Pairing
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    neither: tuple[tuple[Subject, Outcomes], ...]
    absent: tuple[Absent, ...]
    limits: Limits
    ignored: tuple[str, ...]
    alpha: float
    tests: int
    planned_tests: int
    fewest: int = 0
    """The fewest rounds with which a difference could be shown, if more than one look takes place."""

    @property
    def worse(self) -> list[Row | Finding]:
        """The findings and the rows that are worse, the findings first."""
        return [*(one for one in self.findings if one.change == "worse"), *self.with_change("worse")]

    @property
    def better(self) -> list[Row | Finding]:
        """The findings and the rows that are better, the findings first."""
        return [*(one for one in self.findings if one.change == "better"), *self.with_change("better")]

    def with_change(self, change: Verdict) -> list[Row]:
        """Returns the rows with this verdict."""
        return [row for row in self.rows if row.change == change]

    @property
    def failing_more(self) -> list[Finding]:
        """The cases that failed more often on the head, but not often enough to be sure."""
        return [one for one in self.findings if one.change == "not resolved"]

    @property
    def without_enough_rounds(self) -> list[Row]:
        """The rows that are not resolved, and that could not be worse or better whatever was measured."""
        return [row for row in self.rows if row.has_too_few_rounds(self.tests, self.alpha) and not row.is_optional]

    @property
    def too_noisy(self) -> list[Row]:
        """The rows that are not resolved although they have enough rounds, and that may be much worse."""
        short = {row.key for row in self.without_enough_rounds}
        return [
            row for row in self.rows if not row.is_optional and row.key not in short and row.is_too_noisy(TOO_NOISY)
        ]

    @property
    def without_interval(self) -> list[Row]:
        """The qualities that differ, but that nobody can judge: their scores are missing, or too few units."""
        return [row for row in self.rows if row.cannot_be_judged]

    @property
    def gaps(self) -> list[Absent]:
        """The metrics that may have become worse without anybody noticing, because they are not compared."""
        return [one for one in self.absent if one.is_gap]

    @property
    def is_incomplete(self) -> bool:
        """True if too little was measured to say that nothing is worse: cases or metrics or rounds are missing."""
        is_empty = not self.rows and not self.findings
        is_short = self.failing_more or self.without_enough_rounds or self.without_interval or self.too_noisy
        return bool(is_empty or self.pairing.only_base or self.gaps or is_short)

    @property
    def unknown_rules(self) -> list[str]:
        """The metrics that thresholds name, but that no record of either side can have."""
        return sorted(set(self.limits.metrics) - set(known_metrics(self.base, self.head)))

    @property
    def fewest_rounds(self) -> int:
        """The fewest rounds of each side with which a difference could be shown."""
        return self.fewest or fewest_rounds(self.planned_tests, self.alpha)


def compare(
    base: Side,
    head: Side,
    wanted: Sequence[str] | None = None,
    limits: Limits | None = None,
    ignored: Sequence[str] = (),
    alpha: float = ALPHA,
    decided: Decided | None = None,
    across: bool = True,
) -> Compared:
    """Returns the comparison of two sides in the metrics `wanted`.

    If `wanted` is None, these are the time to model, the memory that is needed, the size of the model, the judged
    quality, and every metric that the thresholds name. `limits` defaults to the thresholds of the head's suites.
    Cases that differ only in the properties `ignored` are the same case. `alpha` is the significance level of all
    tests together. `decided` holds verdicts of earlier looks, which are final. If `across` is false, cases
    that should not be compared, such as those of another version of their workload, are absent. Cases on emulated
    hosts are never compared with those on real hosts.

    Raises ConfigError for an unknown metric, if a side has several cases that are distinguished only by an ignored
    property, and if a record has no description of its workload.
    """
    chosen = Limits(rules=head.thresholds) if limits is None else limits
    try:
        _check_metrics(base, head, wanted)
        pairing = pair_up(base, head, ignored)
        parts = [part for pair in pairing.pairs for part in _parts(base, head, pair, wanted, chosen, alpha)]
    except ValueError as error:  # see RunRecord.declared
        raise ConfigError(str(error)) from error
    apart = pairing.half_emulated if across else pairing.refused.keys()
    parts = [part for part in parts if _subject(part) not in apart]
    parts += [Absent(one, ALL, text, True) for one in apart for text in pairing.refused[one]]
    rows, findings, tests = _judged(
        [part for part in parts if isinstance(part, Row)],
        [part for part in parts if isinstance(part, Finding)],
        alpha,
        decided or {},
    )
    return Compared(
        base,
        head,
        pairing,
        tuple(rows),
        tuple(sorted(findings, key=lambda one: (one.change is None, one.has_results))),
        tuple(part for part in parts if isinstance(part, tuple) and not isinstance(part, Absent)),
        tuple(part for part in parts if isinstance(part, Absent)),
        chosen,
        tuple(ignored),
        alpha,
        tests,
        _planned_tests(rows, findings),
    )


Part = Row | Finding | Absent | tuple[Subject, Outcomes]


def _subject(part: Part) -> Subject:
    return part[0] if isinstance(part, tuple) else part.subject


def _parts(
    base: Side, head: Side, pair: Pair, wanted: Sequence[str] | None, limits: Limits, alpha: float
) -> Iterator[Part]:
    """Yields everything about a case. Warm and isolated executions can each have a result on one side only.

    A kind of execution that has a result on one side only is a finding. The others are compared.
    """
    kept: tuple[list[RunRecord], list[RunRecord]] = ([], [])
    for kind, is_isolated in (("", False), ("isolated", True)):
        of_base, of_head = (
            [record for record in side if record.isolated == is_isolated] for side in (pair.of_base, pair.of_head)
        )
        if not of_base or not of_head:
            kept[0].extend(of_base)
            kept[1].extend(of_head)
            continue
        one = finding(pair.head, kind, of_base, of_head)
        if one is not None:
            yield one
        if one is None or one.has_results:
            kept[0].extend(of_base)
            kept[1].extend(of_head)
    results = [any(record.outcome == "ok" for record in side) for side in (pair.of_base, pair.of_head)]
    if not any(results):
        yield pair.head, Outcomes.of(pair.of_head)
        return
    if kept[0] and kept[1]:
        yield from of_pair(base, head, pair._replace(of_base=kept[0], of_head=kept[1]), wanted, limits, alpha)


def _judged(
    rows: Sequence[Row], findings: Sequence[Finding], alpha: float, decided: Decided
) -> tuple[list[Row], list[Finding], int]:
    """Returns rows and findings with their verdicts, and the number of tests. All p values are adjusted together.

    What an earlier look decided counts as what it is: its p is 0 for a difference, and 1 for the same.
    """
    parts: list[Row | Finding] = [*rows, *findings]
    p_values = [
        part.tested_p(alpha) if (earlier := decided.get(part.key)) is None else float(earlier.change == "same")
        for part in parts
    ]
    adjusted = iter(holm([p for p in p_values if p is not None]))
    tests, planned = sum(p is not None for p in p_values), _planned_tests(rows, findings)
    judged_rows, judged_findings = [], []
    for part, own_p in zip(parts, p_values, strict=True):
        p = None if own_p is None else next(adjusted)
        earlier = decided.get(part.key)
        if isinstance(part, Row):
            judged_rows.append(earlier if isinstance(earlier, Row) else part.judged(p, planned, alpha))
        else:
            judged_findings.append(earlier if isinstance(earlier, Finding) else part.judged(p, alpha))
    return judged_rows, judged_findings, tests


def _planned_tests(rows: Sequence[Row], findings: Sequence[Finding]) -> int:
    """Returns the number of tests if every row had enough rounds. Few failures are no test."""
    of_findings = sum(one.tested_p(ALPHA) is not None for one in findings)
    return sum(not (row.exact or row.is_optional) for row in rows) + of_findings


def planned_tests(base: Side, head: Side, limits: Limits) -> int:
    """Returns the number of tests in the usual metrics if every comparison had enough rounds. Nothing is judged."""
    pairs = pair_up(base, head).pairs
    parts = [part for pair in pairs for part in _parts(base, head, pair, None, limits, ALPHA)]
    rows = [part for part in parts if isinstance(part, Row)]
    return _planned_tests(rows, [part for part in parts if isinstance(part, Finding)])


def _check_metrics(base: Side, head: Side, names: Sequence[str] | None) -> None:
    """Raises ConfigError if no metric is named, or if neither side can have one of them."""
    if names is not None and not names:
        raise ConfigError("--metric names no metric: name some, such as time_to_model,auc, or leave it out.")
    known = known_metrics(base, head)
    for name in names or ():
        if name not in known:
            similar = difflib.get_close_matches(name.lower(), known, MOST_SUGGESTED) or sorted(known)
            raise ConfigError(f"Neither side has a metric '{name}': choose from {', '.join(similar)}.")
