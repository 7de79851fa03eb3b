"""Inference with scikit-learn's random forest of hundreds of megabytes, which is costly to load: the number of loads
decides.
"""

from workloads.base import Workload
from workloads.data_parallel.random_forest import ForestParams
from workloads.inference.engines import engines_for
from workloads.inference.formats import PickledForest
from workloads.inference.pattern import INFERENCE, PREDICTED, InferenceParams


class ForestInference(InferenceParams):
    """The model's parameters are those of `data_parallel.random_forest`."""

    model: ForestParams = ForestParams(trees=150, depth=30, min_leaf_rows=1)
    train_fraction: float = 1 / 4


WORKLOAD = Workload(
    name="inference.forest",
    summary="A large forest of scikit-learn's, applied to many rows",
    pattern=INFERENCE,
    quality=PREDICTED,
    params=ForestInference(),
    engines=engines_for(PickledForest, ForestInference),
)
