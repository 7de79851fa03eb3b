"""Tuning of random forests: single-node trials use scikit-learn, and trials over the whole cluster use MLlib."""

from workloads.base import Workload
from workloads.data_parallel.random_forest import ForestParams, MLlibForest, SklearnForest
from workloads.tuning.engines import engines_for
from workloads.tuning.pattern import JUDGED, TUNING, TuningParams
from workloads.tuning.space import Dimension, Range


class TuningForestParams(TuningParams):
    """The parameters of this tuning. Every configuration has the same number of trees."""

    model: ForestParams = ForestParams(trees=20)
    space: dict[str, Dimension] = {
        "depth": Range(low=3, high=12, whole=True),
        "features_share": Range(low=0.1, high=1.0, step=0.1),
        "min_leaf_rows": Range(low=1, high=200, scale="log", whole=True),
    }


WORKLOAD = Workload(
    name="tuning.random_forest",
    summary="Random forests, many configurations",
    pattern=TUNING,
    quality=JUDGED,
    params=TuningForestParams(),
    engines=engines_for(TuningForestParams, SklearnForest, MLlibForest, "sklearn.ensemble"),
    version=2,  # in version 1 `load` made the split
)
