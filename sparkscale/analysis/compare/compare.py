"""Compares a base with a head, case by case, and judges all comparisons together.

The method is that of `sparkscale.analysis.questions.two_sides`. A case that has a result on one side only is a
finding of its own.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparkscale.analysis.compare.pairing import Pairing, pair_up
from sparkscale.analysis.compare.row import Row, Verdict
from sparkscale.analysis.compare.rows import ALL, Absent, Limits, known_metrics, of_pair
from sparkscale.analysis.compare.side import Outcomes, Side, Subject
from sparkscale.analysis.questions.two_sides import ALPHA, fewest_rounds, holm
from sparkscale.contract.errors import ConfigError

MOST_SUGGESTED = 3
"""The largest number of similar names that a message suggests."""


Key = tuple[Subject, str]
"""What a row is about: a case and a metric."""


class Finding(NamedTuple):
    """A case that ended differently on the two sides.

    `change` is None if both sides have a result, so that the rounds with a result are compared.
    """

    subject: Subject
    base: Outcomes
    head: Outcomes
    change: Verdict | None


@dataclass(frozen=True)
class Compared:
    """The comparison of two sides.

    `findings` are cases that ended differently, `neither` those without a result on both sides, and `absent` the
    metrics that are not compared. `alpha` is the significance level of all tests together.
    """

    base: Side
    head: Side
    pairing: Pairing
    rows: tuple[Row, ...]
    findings: tuple[Finding, ...]
    neither: tuple[Finding, ...]
    absent: tuple[Absent, ...]
    limits: Limits
    ignored: tuple[str, ...]
    alpha: float
    fewest: int = 0
    """The fewest rounds with which a difference could be shown, if more than one look takes place."""

    @property
    def tests(self) -> int:
        """The number of tests that are judged together."""
        return sum(row.p is not None for row in self.rows)

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
    def without_enough_rounds(self) -> list[Row]:
        """The rows that are not resolved, and that could not be worse or better whatever was measured."""
        return [row for row in self.rows if row.has_too_few_rounds(self.tests, self.alpha)]

    @property
    def is_incomplete(self) -> bool:
        """True if too little was measured to say that nothing is worse: cases or metrics or rounds are missing."""
        gaps = [one for one in self.absent if one.is_gap]
        return bool(not self.rows or self.pairing.only_base or self.neither or gaps or self.without_enough_rounds)

    @property
    def unknown_rules(self) -> list[str]:
        """The metrics that thresholds name, but that no record of either side can have."""
        known = known_metrics(self.base, self.head)
        return sorted({rule.metric for rule in self.limits.rules} - set(known))

    @property
    def fewest_rounds(self) -> int:
        """The fewest rounds of each side with which a difference could be shown."""
        return self.fewest or fewest_rounds(self.tests, self.alpha)


def compare(
    base: Side,
    head: Side,
    wanted: Sequence[str] | None = None,
    limits: Limits | None = None,
    ignored: Sequence[str] = (),
    alpha: float = ALPHA,
    decided: Mapping[Key, Row] | None = None,
    across: bool = True,
) -> Compared:
    """Returns the comparison of two sides in the metrics `wanted`.

    If `wanted` is None, these are the time to model, the memory that is needed, the judged quality, and every metric
    that the thresholds name. `limits` defaults to the thresholds of the head's suites. Cases that differ only in the
    properties `ignored` are the same case. `alpha` is the significance level of all tests together. `decided` holds
    rows with verdicts of earlier looks, which are final. If `across` is false, cases that should not be compared,
    such as those of another version of their workload, are absent.

    Raises ConfigError for an unknown metric, and if a side has several cases that are told apart only by an ignored
    property.
    """
    chosen = Limits(rules=head.thresholds) if limits is None else limits
    _check_metrics(base, head, wanted or ())
    pairing = pair_up(base, head, ignored)
    parts: list[Row | Absent] = []
    findings, neither = [], []
    for pair in pairing.pairs:
        if not across and pair.head in pairing.refused:
            parts += [Absent(pair.head, ALL, text, True) for text in pairing.refused[pair.head]]
            continue
        own, its = Outcomes.of(pair.of_base), Outcomes.of(pair.of_head)
        if not own.ok and not its.ok:
            neither.append(Finding(pair.head, own, its, None))
        elif not own.ok or not its.ok:
            findings.append(Finding(pair.head, own, its, "worse" if own.ok else "better"))
        else:
            if not (own.is_clean and its.is_clean):
                findings.append(Finding(pair.head, own, its, None))
            parts += of_pair(base, head, pair, wanted, chosen, alpha)
    rows = [part for part in parts if isinstance(part, Row)]
    return Compared(
        base,
        head,
        pairing,
        tuple(_judged(rows, alpha, decided or {})),
        tuple(sorted(findings, key=lambda one: one.change is None)),
        tuple(neither),
        tuple(part for part in parts if isinstance(part, Absent)),
        chosen,
        tuple(ignored),
        alpha,
    )


def _judged(rows: Sequence[Row], alpha: float, decided: Mapping[Key, Row]) -> list[Row]:
    """Returns the rows with their verdicts. The p values of all tests are adjusted together.

    A row that an earlier look decided counts as what it is: its p is 0 for a difference, and 1 for the same.
    """
    p_values = [
        row.p if (earlier := decided.get(row.key)) is None else float(earlier.change == "same") for row in rows
    ]
    adjusted = iter(holm([p for p in p_values if p is not None]))
    tests = sum(p is not None for p in p_values)
    after = [None if p is None else next(adjusted) for p in p_values]
    return [decided.get(row.key) or row.judged(p, tests, alpha) for row, p in zip(rows, after, strict=True)]


def _check_metrics(base: Side, head: Side, names: Sequence[str]) -> None:
    """Raises ConfigError if neither side can have one of these metrics."""
    known = known_metrics(base, head)
    for name in names:
        if name not in known:
            similar = difflib.get_close_matches(name, known, MOST_SUGGESTED) or sorted(known)
            raise ConfigError(f"Neither side has a metric '{name}': choose from {', '.join(similar)}.")
