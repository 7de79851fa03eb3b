"""Tuning of boosted trees: single-node trials train XGBoost, and trials over the whole cluster train MLlib's GBT."""

from workloads.base import Workload
from workloads.data_parallel.gradient_boosting import BoostingParams, MLlibGBT, XGBoost
from workloads.tuning.engines import engines_for
from workloads.tuning.pattern import JUDGED, TUNING, TuningParams
from workloads.tuning.space import Dimension, Range


class TuningBoostingParams(TuningParams):
    """The parameters of this tuning. Every configuration has the same number of trees."""

    model: BoostingParams = BoostingParams(trees=50)
    space: dict[str, Dimension] = {
        "learning_rate": Range(low=0.01, high=0.5, scale="log"),
        "depth": Range(low=2, high=8, whole=True),
        "min_child_weight": Range(low=1, high=100, scale="log"),
        "l2": Range(low=0.1, high=100, scale="log"),
    }


WORKLOAD = Workload(
    name="tuning.gradient_boosting",
    summary="Boosted trees, many configurations",
    pattern=TUNING,
    quality=JUDGED,
    params=TuningBoostingParams(),
    engines=engines_for(TuningBoostingParams, XGBoost, MLlibGBT, "xgboost"),
    version=2,  # in version 1 `load` made the split, and MLlib's step in classification was different
)
