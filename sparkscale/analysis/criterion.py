"""How results are judged: the quality that decides whether a sample is enough, and how it is shown."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from sparkscale.analysis.crossed import LOG, LOGIT, PLAIN, Scale
from sparkscale.analysis.statistics import Array
from sparkscale.analysis.unit_quality import UnitAuc, UnitQuality, UnitRatio, one_minus
from sparkscale.contract import declared
from sparkscale.contract.declared import Judged
from sparkscale.contract.record import RunRecord


@dataclass(frozen=True)
class Estimation:
    """How a quality follows from unit, label and score, all of shape (rows,), and from the sums of such a quality."""

    of_scores: Callable[[Array, Array, Array], UnitQuality]
    of_sums: Callable[[Mapping[str, Array]], UnitQuality]


ESTIMATORS: dict[declared.Estimator, Estimation] = {
    "auc": Estimation(UnitAuc.of, UnitAuc.of_sums),
    "rmse": Estimation(UnitRatio.rmse, partial(UnitRatio.of_sums, transform=np.sqrt)),
    "mean_score": Estimation(UnitRatio.mean_score, UnitRatio.of_sums),
    "explained": Estimation(UnitRatio.explained, partial(UnitRatio.of_sums, transform=one_minus)),
    "accuracy": Estimation(UnitRatio.accuracy, UnitRatio.of_sums),
}
SCALES: dict[declared.Scale, Scale] = {"plain": PLAIN, "logit": LOGIT, "log": LOG}


NO_CRITERION = Judged(quality="", direction="lower", tolerance=0.0, within="the same quality")
"""Used for a task without a declared quality."""


@dataclass(frozen=True)
class Criterion:
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

    @property
    def estimation(self) -> Estimation:
        """How the quality follows from scores. Raises ValueError if no scores are stored: it has no estimator."""
        if self.judged.estimator is None:
            raise ValueError(f"No estimator of {self.key} from scores is declared.")
        return ESTIMATORS[self.judged.estimator]

    def of(self, unit: Array, label: Array, score: Array) -> UnitQuality:
        """The quality as a function of its units, from unit, label and score, all of shape (rows,)."""
        return self.estimation.of_scores(unit, label, score)

    def given_up(self, whole: float | Array, part: float | Array) -> float | Array:
        """The quality that a part gives up against a whole; positive is worse. Takes floats or arrays."""
        lost = whole - part if self.judged.direction == "higher" else part - whole
        return lost / whole if self.judged.relative else lost

    def show(self, value: float) -> str:
        return format(value, self.judged.form)

    def show_given_up(self, value: float) -> str:
        return format(value, self.judged.given_up_form)


def criterion_of(record: RunRecord) -> Criterion:
    """How the record's workload is judged on its task; by nothing, if it does not say."""
    description = record.declared
    judged = description.judged.get(record.case.task, NO_CRITERION)
    return Criterion(judged, description.quality(judged.quality).title, description.quality(judged.second).title)
