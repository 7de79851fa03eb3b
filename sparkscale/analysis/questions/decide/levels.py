"""Divides the probability of a wrong answer among questions, comparisons and looks.

Every look at growing data is a further chance of a false verdict, and so is every comparison. Each gets its part, and
the parts add up to 1 - confidence (Bonferroni). This needs no joint distribution, so it holds for any order of looks.
Equal parts for each look resemble the boundary of Pocock (Biometrika 64, 1977), and spend the level evenly (Lan and
DeMets, Biometrika 70, 1983).

The name of the fastest engine is wrong only if its comparison with the truly fastest one is wrong. So k engines count
as k one-sided comparisons, not as one for each pair (Hsu: Simultaneous confidence intervals for all distances from
the "best", Ann. Stat. 9, 1981).
"""

from dataclasses import dataclass

SAMPLE_LOOKS = (3, 5)
"""A sample is judged after these numbers of rounds, and after the last round of the grid."""


@dataclass(frozen=True)
class Levels:
    """The parts of the level. `alpha` is the level of one question of one subject.

    The grid has `rounds` rounds and `sizes` sizes.
    """

    alpha: float
    rounds: int
    sizes: int

    @property
    def looks(self) -> int:
        """The most times that one comparison of times is looked at.

        It is looked at after each round of either engine, and after each size of either engine.
        """
        return 2 * (self.rounds + self.sizes)

    def of_times(self, compared: int) -> float:
        """Returns the one-sided level of one look at one of `compared` comparisons of times.

        Times get half of the level of the question. The other half is for the qualities of models.
        """
        return self.alpha / 2 / max(1, compared) / self.looks

    def of_quality(self, compared: int) -> float:
        """Returns the two-sided confidence level of one look at one of `compared` comparisons of qualities."""
        return 1 - 2 * (self.alpha / 2 / max(1, compared) / len(self.sample_looks))

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
