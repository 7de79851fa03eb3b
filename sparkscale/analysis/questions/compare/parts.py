"""Small parts of comparisons that several modules share."""

from typing import NamedTuple

from sparkscale.analysis.questions.compare.side import Subject
from sparkscale.analysis.questions.two_sides import THRESHOLD
from sparkscale.contract.threshold import Threshold

ALL = "every metric"
"""The metric of a case that is absent as a whole."""


class Absent(NamedTuple):
    """A metric of a case that is not compared, or not in all rounds, and the reason.

    `is_gap` is true if the metric may have become worse without anybody noticing.
    """

    subject: Subject
    metric: str
    reason: str
    is_gap: bool


class Limits(NamedTuple):
    """The thresholds of a comparison. The first of `rules` that applies counts, otherwise `default`.

    `beside` names metrics that are compared beside the usual ones.
    """

    default: float = THRESHOLD
    rules: tuple[Threshold, ...] = ()
    beside: tuple[str, ...] = ()

    def of(self, metric: str, subject: Subject) -> float | None:
        """Returns the threshold that a rule states for this metric of a case. None if no rule applies."""
        engines = {subject.engine, subject.engine.partition(",")[0]}
        return next(
            (
                rule.threshold
                for rule in self.rules
                if any(rule.applies(metric, subject.workload, engine) for engine in engines)
            ),
            None,
        )

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that the thresholds name."""
        return tuple(dict.fromkeys([*(rule.metric for rule in self.rules), *self.beside]))


def only(has_base: bool) -> str:
    """Returns the reason why a metric that one side has is not compared."""
    return f"only the {'base' if has_base else 'head'} has a value"
