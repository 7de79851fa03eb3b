"""Compares how the executions of a case ended: did more of them fail on one side?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparkscale.analysis.questions.compare.row import Verdict
from sparkscale.analysis.questions.compare.side import Outcomes, Subject
from sparkscale.contract.record import RunRecord


@dataclass(frozen=True)
class Finding:
    """A case that did not end as ok in every execution. `kind` is "isolated" for executions in a worker of their own.

    `p` is that of Fisher's exact test, two-sided. It is None if one side is all ok and the other has no result at
    all: the case lost or won its result. `change` is None if the head fails no more often than the base.
    """

    subject: Subject
    kind: str
    base: Outcomes
    head: Outcomes
    p: float | None
    change: Verdict | None = None

    @property
    def has_results(self) -> bool:
        """True if both sides have a result, so that the executions with a result are compared."""
        return bool(self.base.ok and self.head.ok)

    @property
    def key(self) -> tuple[Subject, str]:
        """The case of the finding, and a name that no metric has."""
        return self.subject, f"outcomes {self.kind}"

    def tested_p(self, alpha: float) -> float | None:
        """Returns the p value for the correction. None if nothing is tested, or if p could not be at most `alpha`."""
        base, head = (self.base.ok, self.base.total), (self.head.ok, self.head.total)
        return self.p if self.p is not None and least_fisher(base, head) <= alpha else None

    def judged(self, adjusted_p: float | None, alpha: float) -> "Finding":
        """Returns the finding with its verdict. `adjusted_p` is None if nothing was tested."""
        if self.p is None:
            return replace(self, change="worse" if self.base.ok else "better")
        more = self.head.total - self.head.ok, self.head.total
        before = self.base.total - self.base.ok, self.base.total
        is_more_often = more[0] * before[1] > before[0] * more[1]
        if adjusted_p is not None and adjusted_p <= alpha:
            return replace(self, change="worse" if is_more_often else "better")
        return replace(self, change="not resolved" if is_more_often else None)


def finding(
    subject: Subject, kind: str, of_base: Sequence[RunRecord], of_head: Sequence[RunRecord]
) -> Finding | None:
    """Returns the finding of some executions of a case. None if all are ok, or if neither side has a result."""
    own, its = Outcomes.of(of_base), Outcomes.of(of_head)
    if (own.is_clean and its.is_clean) or not (own.ok or its.ok):
        return None
    p = None if _is_all_or_nothing(own, its) else fisher((own.ok, own.total), (its.ok, its.total))
    return Finding(subject, kind, own, its, p)


def _is_all_or_nothing(base: Outcomes, head: Outcomes) -> bool:
    """Returns true if one side is all ok, and the other has no result at all."""
    return (base.ok == base.total and not head.ok) or (head.ok == head.total and not base.ok)


def least_fisher(base: tuple[int, int], head: tuple[int, int]) -> float:
    """Returns the smallest p that these numbers of executions, and of successes together, can have."""
    successes = base[0] + head[0]
    least, most = max(0, successes - head[1]), min(successes, base[1])
    return min(fisher((of_base, base[1]), (successes - of_base, head[1])) for of_base in (least, most))


def fisher(base: tuple[int, int], head: tuple[int, int]) -> float:
    """Returns the two-sided p of Fisher's exact test. Each side is a number of successes, and of all executions.

    It is the sum of the probabilities of all tables with the same margins that are at most as probable as this one
    (Fisher: Statistical Methods for Research Workers, 1934).
    """
    successes, total = base[0] + head[0], base[1] + head[1]

    def probability(of_base: int) -> float:
        return math.comb(base[1], of_base) * math.comb(head[1], successes - of_base) / math.comb(total, successes)

    least, most = max(0, successes - head[1]), min(successes, base[1])
    observed = probability(base[0])
    every = (probability(number) for number in range(least, most + 1))
    return min(1.0, sum(one for one in every if one <= observed * (1 + 1e-9)))
