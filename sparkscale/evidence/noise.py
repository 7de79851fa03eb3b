"""Draws rounds of simulated cases with the noise of real executions.

Cases differ in their spread, from below 1 % to above 20 %. So each simulated case has the spread of a real case, the
standard deviation of the logarithms of its times. The shape of the noise comes from all cases together, because five
rounds say little about the shape of one case.

A shape is the deviation of a real round from the mean of the other rounds of its case, as a multiple of the spread of
the case. It is scaled down to unit variance, because the mean of the other rounds has noise of its own. The deviation
from the mean of all rounds would be too small. That from their median is often 0, so that values would be equal.

A slow round also raises the spread of its case, so shapes are never far from 0. If the noise is normal, the spread of
n rounds is distributed like the square root of a chi-squared variable with n - 1 degrees of freedom, and does not
depend on the shapes (Basu, Sankhya 15, 1955). So each shape is multiplied by such a variable. Normal noise then comes
out as normal noise, and other noise keeps its skew. No two values are equal.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array
from sparkscale.contract.case import Case
from sparkscale.contract.errors import ConfigError
from sparkscale.store import archive
from sparkscale.store.store import Store

FEWEST_CASES = 5
"""Fewer real cases do not show how much spreads differ."""


@dataclass(frozen=True)
class Noise:
    """The noise of real rounds: the spread of each case, and the shape and the degrees of freedom of each round."""

    spreads: Array
    shapes: Array
    degrees: Array

    @classmethod
    def of(cls, cases: Iterable[Sequence[float]]) -> "Noise":
        """Returns the noise of the times of these cases. A case with equal times counts, but it has no shape."""
        spreads, shapes, degrees = [], [], []
        for times in cases:
            logs, number = np.log(times), len(times)
            spread = float(logs.std(ddof=1))
            spreads.append(spread)
            if spread > 0:
                from_others = (number * logs - logs.sum()) / (number - 1)
                shapes.extend(from_others * np.sqrt((number - 1) / number) / spread)
                degrees.extend([number - 1] * number)
        return cls(np.array(spreads), np.array(shapes), np.array(degrees))

    def drawn(self, generator: np.random.Generator, comparisons: int, compared: int, rounds: int) -> Array:
        """Returns logarithms of simulated times, of shape (comparisons, compared, 2, rounds).

        Both sides of a case have the same spread and the true ratio 1. Every round is drawn anew.
        """
        spreads = generator.choice(self.spreads, (comparisons, compared, 1, 1))
        chosen = generator.integers(len(self.shapes), size=(comparisons, compared, 2, rounds))
        degrees = self.degrees[chosen]
        result: Array = spreads * self.shapes[chosen] * np.sqrt(generator.chisquare(degrees) / degrees)
        return result


@dataclass(frozen=True)
class RealCase:
    """The times to a model of the warm executions of one case in one run, in seconds."""

    invocation: str
    case: Case
    times: list[float]


def real_cases(paths: Sequence[Path]) -> list[RealCase]:
    """Returns the cases with FEWEST_ROUNDS rounds or more, from the records of archives and of folders.

    Raises ConfigError if a path has no records.
    """
    by_case: dict[tuple[str, str], RealCase] = {}
    for path in paths:
        with Store.existing(path) if path.is_dir() else archive.unpacked(path) as store:
            for record in metrics.timed(metrics.latest(store.records())):
                key = (record.invocation, record.case.experiment)
                case = by_case.setdefault(key, RealCase(record.invocation, record.case, []))
                case.times.append(metrics.time_to_model(record))
    return [case for case in by_case.values() if len(case.times) >= FEWEST_ROUNDS]


def noise_of(cases: Sequence[RealCase]) -> Noise:
    """Returns the noise of real cases. Raises ConfigError if there are fewer than FEWEST_CASES."""
    if len(cases) < FEWEST_CASES:
        raise ConfigError(
            f"These records have {len(cases)} cases with {FEWEST_ROUNDS} rounds or more, and {FEWEST_CASES} are "
            "needed: name more archives."
        )
    return Noise.of([case.times for case in cases])
