"""Simulates how often the answer to "is a sample enough?" is right, for models with a known learning curve.

Hold-outs, seeds and scores are simulated as in `coverage`. With a smaller fraction, the scores of the two classes are
closer together. So the quality that each fraction gives up is known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.patterns.data_parallel.comparison import SampleAnswer
from sparkscale.contract.case import digest
from sparkscale.evidence.coverage import CRITERIA, DOMINANT_FACTORS, Dominant, Scenario, qualities, true_values
from sparkscale.evidence.parallel import in_parallel

CRITERION = CRITERIA["auc"]
FRACTIONS = tuple(2.0**-power for power in range(1, 7))
"""The samples, from the largest down."""
EXPONENT = 0.7
"""The exponent of the learning curve: the gap of fraction f is proportional to f^-EXPONENT - 1."""
SUFFICIENT: tuple[float | None, ...] = (None, 1 / 2, 1 / 4, 1 / 64)
"""The smallest fraction that is enough, for each simulated curve. None: no sample is enough."""
UNITS, SEEDS = (11, 50), (3, 8)
ROWS = 3000
"""The rows of each class in the hold-out."""
SCALE = 0.15
"""The factor for the variation over units, seeds and cells. With 1, hardly any answer would be resolved."""
NEAR = 0.8
"""The smallest fraction that is enough gives up this share of the tolerance, so it is close to the limit."""

MOST_WRONG = 0.05
"""At most this share of answers should be wrong."""
LEVELS = (0.05, 0.5, 0.95)
"""The share of confidences at or below a level should equal the level.

Each is the confidence that half of the data gives up no more quality than it really does.
"""


@dataclass(frozen=True)
class Truth:
    """A learning curve, and the hold-out on which it is measured.

    `smallest` is the smallest fraction that is enough. None if no sample is.
    """

    smallest: float | None
    units: int
    seeds: int
    dominant: Dominant

    @property
    def hold_out(self) -> Scenario:
        return Scenario("auc", self.units, self.seeds, ROWS, ROWS, dominant=self.dominant, scale=SCALE)

    def gaps(self) -> dict[float, float]:
        """Returns the gap of each fraction's model (see `coverage.qualities`)."""
        reference = self.smallest or 1.0
        limit = NEAR * CRITERION.tolerance
        unit = next(gap for gap in np.linspace(0.0, 0.2, 2001) if true_values(self.hold_out, float(gap))[1] >= limit)
        if self.smallest is None:  # even a half gives up 1/NEAR² of the tolerance
            reference, unit = 1 / 2, unit / NEAR**3
        scale = float(unit) / (reference**-EXPONENT - 1)
        return {fraction: scale * (fraction**-EXPONENT - 1) for fraction in FRACTIONS}


@dataclass(frozen=True)
class Answered:
    """The shares of right, exact and unresolved answers in `repeats` simulations.

    An answer is right if the fraction that it names is enough, and any fraction that it calls too small is not
    enough. An exact answer is right and names the smallest fraction that is enough. If no sample is enough, the exact
    answer is that 1/2 is too small. `below` holds, for each of LEVELS, the share of confidences at or below the
    level.
    """

    truth: Truth
    repeats: int
    right: float
    exact: float
    not_resolved: float
    below: tuple[float, ...]

    @property
    def wrong(self) -> float:
        return max(0.0, 1 - self.right - self.not_resolved)  # rounding may lift the sum of shares above 1


def truths() -> list[Truth]:
    """Returns all curves on all hold-outs."""
    return [
        Truth(smallest, units, seeds, dominant)
        for smallest in SUFFICIENT
        for units in UNITS
        for seeds in SEEDS
        for dominant in DOMINANT_FACTORS
    ]


def answered(
    to_simulate: Sequence[Truth], repeats: int, processes: int, progress: Callable[[str], None]
) -> list[Answered]:
    """Simulates each curve `repeats` times, in `processes` parallel processes. Returns one result per curve."""
    return in_parallel(partial(simulated, repeats=repeats), to_simulate, processes, progress, "curves")


def simulated(truth: Truth, repeats: int) -> Answered:
    """Returns the answers of `repeats` simulations. The seed follows from the curve alone."""
    generator = np.random.default_rng(int(digest(repr(truth)), 16))
    gaps = truth.gaps()
    given_up = {fraction: true_values(truth.hold_out, gap)[1] for fraction, gap in gaps.items()}
    enough = {fraction for fraction, value in given_up.items() if value <= CRITERION.tolerance}
    outcomes, confidences = [], []
    with threadpool_limits(1):
        for _ in range(repeats):
            drawn = qualities(truth.hold_out, generator, (0.0, *gaps.values()))
            steps = [
                Step.of(fraction, [(models[0], models[number]) for models in drawn], CRITERION)
                for number, fraction in enumerate(FRACTIONS, start=1)
            ]
            outcomes.append(_outcome(SampleAnswer.of(steps), enough))
            confidence = steps[0].estimate.confidence_below(given_up[FRACTIONS[0]])
            confidences += [] if confidence is None else [confidence]
    shares = {name: float(np.mean([name in outcome for outcome in outcomes])) for name in ("right", "exact", "open")}
    below = tuple(float(np.mean(np.array(confidences) <= level)) for level in LEVELS)
    return Answered(truth, repeats, shares["right"], shares["exact"], shares["open"], below)


def _outcome(answer: SampleAnswer, enough: set[float]) -> set[str]:
    """Returns {"open"} for an answer that is not resolved, and {"right"} for a right answer.

    Returns {"right", "exact"} for an exact answer (see `Answered`), and an empty set for a wrong answer.
    """
    if not answer.is_enough and not answer.is_too_little:
        return {"open"}
    named = answer.step.fraction if answer.is_enough and answer.step else None
    if named is not None and named not in enough:
        return set()
    if answer.failed is not None and answer.failed.verdict == "not enough" and answer.failed.fraction in enough:
        return set()
    return {"right", "exact"} if named == min(enough, default=None) else {"right"}
