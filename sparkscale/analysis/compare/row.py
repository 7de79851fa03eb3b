"""One row of a comparison: one metric of one case on both sides, with its verdict."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from sparkscale.analysis import crossed
from sparkscale.analysis.compare.side import Subject
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.questions.two_sides import Change, Difference
from sparkscale.analysis.statistics import MOST_ROUNDS
from sparkscale.contract.declared import Direction

NO_SCORES = "no stored scores"
"""The reason why a quality has no interval, if it is judged by scores that no record has."""
Verdict = Change | Literal["different"]
"""The verdict on a metric. It is "different" if neither a lower nor a higher value is better."""


@dataclass(frozen=True)
class Row:
    """One metric of one case on both sides.

    `base` and `head` hold one value for each execution that counts. An infinite value is a timeout. The evidence is
    one of these: `measured` for a metric that is tested by ranks, `given_up` for a quality, or `exact` for values
    that depend on the seeds alone. `exact` holds the ratio of the head to the base for each pair of seeds. A quality
    whose scores are equal with all seeds is exact, too.

    `adjusted_p` is None if nothing is tested. `needs` says what would resolve the verdict, such as "about 12 rounds".
    `needed` is that number of rounds of each side, or None.
    """

    subject: Subject
    metric: str
    unit: str
    direction: Direction | None
    threshold: float
    base: tuple[float, ...]
    head: tuple[float, ...]
    measured: Difference | None = None
    given_up: crossed.Estimate | None = None
    criterion: Criterion | None = None
    exact: tuple[float, ...] = ()
    change: Verdict = "not resolved"
    adjusted_p: float | None = None
    needed: int | None = None
    needs: str = ""

    @property
    def key(self) -> tuple[Subject, str]:
        """What the row is about."""
        return self.subject, self.metric

    @property
    def p(self) -> float | None:
        """The p value before it is adjusted. None if nothing is tested."""
        if self.exact:
            return None
        if self.measured is not None:
            return self.measured.p
        below, above = self._confidences()
        return None if below is None or above is None else min(1.0, 2 * below, 2 * (1 - above))

    def _confidences(self) -> tuple[float | None, float | None]:
        """Returns the confidence that the head gives up at most the threshold, and that it gains at least as much."""
        if self.given_up is None:
            return None, None
        return self.given_up.confidence_below(self.threshold), self.given_up.confidence_below(-self.threshold)

    @property
    def rounds(self) -> tuple[int, int]:
        """The numbers of values of base and head. For a quality it is the number of pairs of seeds."""
        if self.given_up is not None:
            return self.given_up.seeds, self.given_up.seeds
        return len(self.base), len(self.head)

    def has_too_few_rounds(self, compared: int, alpha: float) -> bool:
        """Returns true if no values with these numbers of rounds could show a difference."""
        if self.exact or self.change != "not resolved":
            return False
        if self.measured is not None:
            return compared * two_sides.smallest_p(*self.rounds) > alpha
        return self.given_up is None or self.given_up.interval is None

    def judged(self, adjusted_p: float | None, compared: int, alpha: float) -> "Row":
        """Returns the row with its verdict.

        `adjusted_p` is adjusted for the number of tests, `compared`. None if nothing was tested.
        """
        if self.exact:
            return replace(self, change=self._exact_change())
        verdict: Verdict = "not resolved"
        if self.measured is not None and adjusted_p is not None:
            verdict = self._directed(two_sides.change(self.measured, adjusted_p, True, self.threshold, alpha))
        elif adjusted_p is not None:
            verdict = self._change_of_quality(adjusted_p, alpha)
        judged = replace(self, adjusted_p=adjusted_p, change=verdict)
        return judged if verdict != "not resolved" else judged._with_needed(compared, alpha)

    def _directed(self, change: Change) -> Verdict:
        """Returns the verdict, given the one for a metric where lower is better."""
        if change in ("same", "not resolved"):
            return change
        if self.direction is None:
            return "different"
        if self.direction == "lower":
            return change
        return "better" if change == "worse" else "worse"

    def _exact_change(self) -> Verdict:
        """Returns the verdict on values that depend on the seeds alone: no test is needed."""
        low, high = 1 / (1 + self.threshold), 1 + self.threshold
        if all(low <= ratio <= high for ratio in self.exact):
            return "same"
        if all(ratio > high for ratio in self.exact):
            return self._directed("worse")
        return self._directed("better") if all(ratio < low for ratio in self.exact) else "not resolved"

    def _change_of_quality(self, adjusted_p: float, alpha: float) -> Verdict:
        """Returns the verdict on a quality: the interval of what the head gives up, compared with the threshold."""
        below, above = self._confidences()
        if below is None or above is None:
            return "not resolved"
        if below >= 1 - alpha / 2 and above <= alpha / 2:
            return "same"
        if adjusted_p > alpha:
            return "not resolved"
        if below <= alpha / 2:
            return "worse"
        return "better" if above >= 1 - alpha / 2 else "not resolved"

    def _with_needed(self, compared: int, alpha: float) -> "Row":
        """Returns the row with what would resolve it: a number of rounds, or something else."""
        if self.measured is not None:
            needed = two_sides.rounds_needed(self.base, self.head, compared, self.threshold, alpha)
            fewest = two_sides.fewest_rounds(compared, alpha)
            if needed is None and (min(self.rounds) < 2 or math.inf in (*self.base, *self.head)):
                return replace(self, needs=f"{fewest} rounds or more")
            needed = needed and max(needed, fewest)
            return replace(self, needed=needed, needs=_rounds(needed))
        if self.given_up is None:
            return self
        if self.given_up.interval is None:
            why = self.given_up.why_none
            return replace(self, needs="stored scores" if why == NO_SCORES else f"more than {why}")
        limit = self.threshold if self.given_up.value >= 0 else -self.threshold
        if self.given_up.is_limited_by_units(limit):
            return replace(self, needs="a larger hold-out")
        needed = self.given_up.seeds_to_resolve(limit)
        return replace(self, needed=needed, needs=_rounds(needed))


def _rounds(needed: int | None) -> str:
    return f"about {needed} rounds" if needed else f"over {MOST_ROUNDS} rounds"
