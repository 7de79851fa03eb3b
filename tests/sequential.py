"""The rule of a gate, written as plainly as possible: the simulation and the real gate are compared with it."""

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sparkscale.analysis.questions.looks import looks
from sparkscale.analysis.questions.two_sides import ALPHA, THRESHOLD, Change, Difference, change, difference, holm

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one comparison after `rounds` rounds, at a look with the level `alpha`.

    `adjusted_p` is p, adjusted for all comparisons of the gate. `measured` has the interval at the level 1 - `alpha`.
    """

    change: Change
    measured: Difference
    adjusted_p: float
    rounds: int
    alpha: float

    @property
    def is_decided(self) -> bool:
        return self.change != "not resolved"


@dataclass
class Sequential(Generic[Key]):
    """The verdicts of a gate that plans `rounds` rounds. A verdict other than "not resolved" is final.

    At each look, Holm's method adjusts p for all comparisons. A comparison that an earlier look decided counts there
    as what it is: p is 0 for a difference, and 1 for the same. So no old p of an ended comparison is used again. If
    no earlier verdict was false, the differences are real ones, and Holm's method holds for the others.
    """

    rounds: int
    threshold: float = THRESHOLD
    alpha: float = ALPHA
    verdicts: dict[Key, Verdict] = field(default_factory=dict)
    spent: float = 0.0
    """The level that the looks so far have spent."""

    def decide(
        self,
        samples: Mapping[Key, tuple[Sequence[float], Sequence[float]]],
        rounds: int,
        higher_is_better: Container[Key] = (),
        is_last: bool = False,
    ) -> Mapping[Key, Verdict]:
        """Looks at the values of base and head, if a look is planned after `rounds` rounds. Returns all verdicts.

        `samples` has all comparisons of the gate that are not decided. Values of decided comparisons are not read,
        and may be left out. Set `is_last` if the gate ends here, before all its rounds, such as at a time limit.
        This look then spends all that is left of the level. The end must not depend on the verdicts.
        """
        family = list(dict.fromkeys((*self.verdicts, *samples)))
        planned = looks(self.rounds, self.alpha, len(family))
        if not is_last and rounds not in planned:
            return self.verdicts
        left = max(0.0, self.alpha - self.spent)
        level = left if is_last else min(left, planned[rounds])
        self.spent += level
        measured = {key: difference(*samples[key], level) for key in samples if not self._is_decided(key)}
        p_values = [measured[key].p if key in measured else self._known_p(key) for key in family]
        for key, adjusted in zip(family, holm(p_values), strict=True):
            if key in measured:
                verdict = change(measured[key], adjusted, key not in higher_is_better, self.threshold, level)
                self.verdicts[key] = Verdict(verdict, measured[key], adjusted, rounds, level)
        return self.verdicts

    def _is_decided(self, key: Key) -> bool:
        return key in self.verdicts and self.verdicts[key].is_decided

    def _known_p(self, key: Key) -> float:
        return 0.0 if self.verdicts[key].change in ("worse", "better") else 1.0

    @property
    def is_decided(self) -> bool:
        """True if there are verdicts, and no comparison needs more rounds."""
        return bool(self.verdicts) and all(verdict.is_decided for verdict in self.verdicts.values())
