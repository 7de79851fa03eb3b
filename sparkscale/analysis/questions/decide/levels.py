"""Divides the probability of a wrong answer among questions, comparisons and looks.

Every look at growing data is a further chance of a false verdict, and so is every comparison. Each gets its part, and
the parts add up to 1 - confidence (Bonferroni). This needs no joint distribution, so it holds for any order of looks.
The looks at times have no last one, because rounds may be added. So look l spends the part 1/(l·(l + 1)), and all
parts add up to 1 (a spending function in the sense of Lan and DeMets, Biometrika 70, 1983). Samples are judged at
planned looks, with equal parts.

The number of the look is the number of rounds of the engine with fewer rounds. Further rounds of the other engine
change a comparison only little. Simulations check that this is enough (`sparkscale evidence decide`).

The name of the fastest engine is wrong only if its comparison with the truly fastest one is wrong. So k engines count
as k one-sided comparisons, not as one for each pair (Hsu: Simultaneous confidence intervals for all distances from
the "best", Ann. Stat. 9, 1981).
"""

from dataclasses import dataclass

from sparkscale.analysis.crossed import FEWEST_SEEDS

SAMPLE_LOOKS = (3, 5)
"""A sample is judged after these numbers of rounds, and after the last round of the grid."""


@dataclass(frozen=True)
class Levels:
    """The parts of the level. `alpha` is the level of one question of one subject.

    The grid has `rounds` rounds.
    """

    alpha: float
    rounds: int

    def of_times(self, compared: int, look: int) -> float:
        """Returns the one-sided level of one look at one of `compared` comparisons of times. The first look is 1.

        Times get half of the level of the question. The other half is for the qualities of models.
        """
        return self.alpha / 2 / max(1, compared) / (look * (look + 1))

    def of_quality(self, compared: int) -> float:
        """Returns the two-sided confidence level of one look at one of `compared` comparisons of qualities.

        The first look is after FEWEST_SEEDS rounds.
        """
        looks = max(1, self.rounds - FEWEST_SEEDS + 1)
        return 1 - 2 * (self.alpha / 2 / max(1, compared) / looks)

    @property
    def sample_looks(self) -> tuple[int, ...]:
        """The numbers of rounds after which a sample is judged."""
        return tuple(sorted({*(look for look in SAMPLE_LOOKS if look < self.rounds), self.rounds}))

    @property
    def of_samples(self) -> float:
        """The two-sided confidence level of one look at the samples.

        Fractions are tested in a fixed order, so they share the level.
        """
        return 1 - 2 * self.alpha / len(self.sample_looks)
