"""One row of a comparison: one metric of one case on both sides, with its verdict."""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from sparkscale.analysis import crossed
from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.questions import two_sides
from sparkscale.analysis.questions.compare.side import Subject
from sparkscale.analysis.questions.two_sides import Change, Difference
from sparkscale.analysis.statistics import FEWEST_ROUNDS, MOST_ROUNDS
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
    that is equal with all seeds is exact, too.

    `adjusted_p` is None if nothing is tested. `needs` says what would resolve the verdict, such as "about 12 rounds".
    `needed` is that number of rounds of each side, or None. `is_optional` is true for a usual
    metric of which a run has only one value.
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
    is_optional: bool = False
    change: Verdict = "not resolved"
    adjusted_p: float | None = None
    needed: int | None = None
    needs: str = ""

    @property
    def key(self) -> tuple[Subject, str]:
        """The case and the metric of the row."""
        return self.subject, self.metric

    def tested_p(self, alpha: float) -> float | None:
        """Returns the p value for the correction.

        None if nothing is tested, or if p could not be at most `alpha` with so few rounds, whatever was measured.
        Such a test cannot make a false verdict, so it takes no part in the correction (Tarone, Biometrics 46, 1990).
        """
        if self.exact:
            return None
        if self.measured is not None:
            return self.measured.p if two_sides.smallest_p(*self.rounds) <= alpha else None
        below, above = self._confidences()
        return None if below is None or above is None else min(1.0, 2 * below, 2 * (1 - above))

    def _confidences(self) -> tuple[float | None, float | None]:
        """Returns the confidence that the head gives up at most the threshold, and that it gains at least as much.

        Both are None if there are too few seeds to know how much models vary.
        """
        if self.given_up is None or self.given_up.seeds < crossed.FEWEST_SEEDS:
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
            return max(1, compared) * two_sides.smallest_p(*self.rounds) > alpha
        return self.given_up is None or self.given_up.seeds < crossed.FEWEST_SEEDS

    @property
    def worst_factor(self) -> float | None:
        """The largest factor by which the head may be worse, by the interval of the ratio.

        Infinite if no bound is known. None if the row is decided, or if it is no ratio with a better direction.
        """
        if self.change != "not resolved" or self.measured is None or self.direction is None:
            return None
        bounds = self.measured.interval
        if self.measured.ratio is None or bounds is None:
            return math.inf
        if self.direction == "lower":
            return bounds.high
        return 1 / bounds.low if bounds.low > 0 else math.inf

    def is_too_noisy(self, times: float) -> bool:
        """Returns true if the row is not resolved, and the head may be this many times worse than is allowed."""
        if self.change == "not resolved" and self.given_up is not None and self.given_up.interval is not None:
            return self.given_up.interval.high > times * self.threshold
        factor = self.worst_factor
        return factor is not None and factor >= times * (1 + self.threshold)

    @property
    def cannot_be_judged(self) -> bool:
        """True for a quality that differs, but has no interval although there are enough seeds."""
        if self.exact or self.given_up is None or self.given_up.seeds < crossed.FEWEST_SEEDS:
            return False
        return self.given_up.interval is None

    def judged(self, adjusted_p: float | None, compared: int, alpha: float) -> "Row":
        """Returns the row with its verdict.

        `adjusted_p` is adjusted for the number of tests, `compared`. None if nothing was tested.
        """
        if self.exact:
            return replace(self, change=self._exact_change())
        verdict: Verdict = "not resolved"
        if self.measured is not None:
            p = 1.0 if adjusted_p is None else adjusted_p
            verdict = self._directed(two_sides.change(self.measured, p, True, self.threshold, alpha))
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
        """Returns the verdict on values that depend on the seeds alone: no test is needed.

        The median over seeds decides, as for any other metric.
        """
        ratio = float(np.median(self.exact))
        if 1 / (1 + self.threshold) <= ratio <= 1 + self.threshold:
            return "same"
        return self._directed("worse" if ratio > 1 else "better")

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
            return self._with_rounds(compared, alpha)
        return self if self.given_up is None else self._with_seeds(self.given_up)

    def _with_rounds(self, compared: int, alpha: float) -> "Row":
        needed = two_sides.rounds_needed(self.base, self.head, compared, self.threshold, alpha)
        fewest = two_sides.fewest_rounds(compared, alpha)
        if needed is None and math.inf in (*self.base, *self.head):
            return replace(self, needs="a longer deadline")
        if needed is None and min(self.rounds) < 2:
            return replace(self, needs=f"{fewest} rounds or more")
        needed = needed and max(needed, fewest)
        return replace(self, needed=needed, needs=_rounds(needed))

    def _with_seeds(self, given_up: crossed.Estimate) -> "Row":
        limit = self.threshold if given_up.value >= 0 else -self.threshold
        if given_up.why_none == NO_SCORES:
            needs, needed = "stored scores", None
        elif given_up.seeds < crossed.FEWEST_SEEDS:
            needs, needed = f"{crossed.FEWEST_SEEDS} rounds or more", None
        elif given_up.interval is None:
            is_short = given_up.why_none.endswith(("seed", "seeds"))
            needs = f"{FEWEST_ROUNDS} rounds or more" if is_short else f"more than {given_up.why_none}"
            needed = None
        elif given_up.is_limited_by_units(limit):
            needs, needed = "a larger hold-out", None
        else:
            needed = given_up.seeds_to_resolve(limit)
            needs = _rounds(needed)
        return replace(self, needed=needed, needs=needs)


def _rounds(needed: int | None) -> str:
    return f"about {needed} rounds" if needed else f"over {MOST_ROUNDS} rounds"
