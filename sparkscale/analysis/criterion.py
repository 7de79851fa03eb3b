"""The criterion of a workload: the quality that decides if a sample is enough, and how this quality is printed."""

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
    """Two ways to compute a quality: from unit, label and score (each of shape (rows,)), or from stored sums."""

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
"""The criterion for a learning task without a declared quality."""


@dataclass(frozen=True)
class Criterion:
    """The quality that is declared to judge a workload's models on a learning task.

    `name` is the heading of this quality in tables. `second` is the heading of another quality that tables also show.
    """

    judged: Judged
    name: str = ""
    second: str = ""

    @property
    def key(self) -> str:
        """The name of the quality in records."""
        return self.judged.quality

    @property
    def second_key(self) -> str:
        return self.judged.second

    @property
    def within(self) -> str:
        """The tolerance as part of a sentence, such as "an AUC within 0.005"."""
        return self.judged.within

    @property
    def truth(self) -> str:
        """Words for the values that a perfect model predicts, such as "the true probabilities".

        The quality of these values is the ceiling. Empty if no ceiling is known.
        """
        return self.judged.truth

    @property
    def tolerance(self) -> float:
        """The most quality that a sample may give up and still count as enough."""
        return self.judged.tolerance

    @property
    def sign(self) -> int:
        """1 if a higher quality is better, and -1 if a lower one is."""
        return 1 if self.judged.direction == "higher" else -1

    @property
    def tolerated(self) -> str:
        """The tolerance as a text, such as "0.005" or "2 %"."""
        return f"{100 * self.tolerance:g} %" if self.judged.relative else f"{self.tolerance:g}"

    @property
    def scale(self) -> Scale:
        """The scale on which the interval of the quality itself is symmetric."""
        return SCALES[self.judged.scale]

    @property
    def estimation(self) -> Estimation:
        """The methods that compute the quality from stored scores, or from stored sums.

        Raises ValueError if the workload declares none. In that case scores are not stored either.
        """
        if self.judged.estimator is None:
            raise ValueError(f"No estimator of {self.key} from scores is declared.")
        return ESTIMATORS[self.judged.estimator]

    def of(self, unit: Array, label: Array, score: Array) -> UnitQuality:
        """Returns the quality of these scores as a function of the units' weights. Arrays have shape (rows,)."""
        return self.estimation.of_scores(unit, label, score)

    def given_up(self, whole: float | Array, part: float | Array) -> float | Array:
        """Returns the quality that a sample gives up. Positive means that the sample is worse.

        `whole` is the quality from all data, and `part` the quality from the sample. Both are floats or arrays. If
        the declared tolerance is relative, the result is a share of `whole`.
        """
        loss = whole - part if self.judged.direction == "higher" else part - whole
        return loss / whole if self.judged.relative else loss

    def is_better(self, value: float, other: float) -> bool:
        """Returns true if `value` is better than `other`. Qualities that are printed alike count as equal."""
        return self.sign * (value - other) > 0 and self.show(value) != self.show(other)

    def show(self, value: float) -> str:
        return format(value, self.judged.form)

    def show_given_up(self, value: float) -> str:
        return format(value, self.judged.given_up_form)


def criterion_of(record: RunRecord) -> Criterion:
    """Returns the criterion that the record's workload declares for the learning task of the case.

    If the workload declares none, returns a criterion that names no quality (NO_CRITERION).
    """
    description = record.declared
    task = record.case.task
    judged = description.judged.get(task, NO_CRITERION) if task else NO_CRITERION
    return Criterion(judged, description.quality(judged.quality).title, description.quality(judged.second).title)
