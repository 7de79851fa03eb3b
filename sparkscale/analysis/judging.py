"""How results are judged: the quality that decides whether a sample is enough, and how it is shown."""

from collections.abc import Callable
from dataclasses import dataclass

from sparkscale.analysis.clustered import ClusteredAuc, ClusteredQuality, ClusteredRatio
from sparkscale.analysis.crossed import LOG, LOGIT, PLAIN, Scale
from sparkscale.analysis.statistics import Array
from sparkscale.contract import declared
from sparkscale.contract.declared import Judged
from sparkscale.contract.record import RunRecord

ESTIMATORS: dict[declared.Estimator, Callable[[Array, Array, Array], ClusteredQuality]] = {
    "auc": ClusteredAuc.of,
    "rmse": ClusteredRatio.rmse,
    "mean_score": ClusteredRatio.mean_score,
    "explained": ClusteredRatio.explained,
    "accuracy": ClusteredRatio.accuracy,
}
SCALES: dict[declared.Scale, Scale] = {"plain": PLAIN, "logit": LOGIT, "log": LOG}


UNJUDGED = Judged(quality="", direction="lower", tolerance=0.0, within="the same quality")
"""Used for a task without a declared quality."""


@dataclass(frozen=True)
class Judging:
    """The quality that a workload is judged by on a task, as it was declared. `name` is its heading, `second` that of
    the quality which tables show beside it.
    """

    judged: Judged
    name: str = ""
    second: str = ""

    @property
    def key(self) -> str:
        """The quality in a record that it judges by."""
        return self.judged.quality

    @property
    def second_key(self) -> str:
        return self.judged.second

    @property
    def within(self) -> str:
        """The tolerance in words."""
        return self.judged.within

    @property
    def truth(self) -> str:
        """Names what reaches the ceiling, for data sets that know it."""
        return self.judged.truth

    @property
    def tolerance(self) -> float:
        """A sample is enough when it gives up no more than this."""
        return self.judged.tolerance

    @property
    def scale(self) -> Scale:
        """On which the interval of the quality itself is symmetric."""
        return SCALES[self.judged.scale]

    def of(self, unit: Array, label: Array, score: Array) -> ClusteredQuality:
        """The quality as a function of its units, from unit, label and score, all of shape (rows,).

        Raises ValueError if the quality has no estimator, because no scores are stored.
        """
        if self.judged.estimator is None:
            raise ValueError(f"No estimator of {self.key} from scores is declared.")
        return ESTIMATORS[self.judged.estimator](unit, label, score)

    def given_up(self, whole: float | Array, part: float | Array) -> float | Array:
        """The quality that a part gives up against a whole; positive is worse. Takes floats or arrays."""
        lost = whole - part if self.judged.direction == "higher" else part - whole
        return lost / whole if self.judged.relative else lost

    def show(self, value: float) -> str:
        return format(value, self.judged.form)

    def show_given_up(self, value: float) -> str:
        return format(value, self.judged.given_up_form)


def judging_of(record: RunRecord) -> Judging:
    """How the record's workload is judged on its task; by nothing, if it does not say."""
    description = record.declared
    judged = description.judged.get(record.case.task, UNJUDGED)
    return Judging(judged, description.quality(judged.quality).title, description.quality(judged.second).title)
