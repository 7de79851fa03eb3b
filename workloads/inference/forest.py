"""Inference with a large scikit-learn forest. Loading it is costly, so time depends mostly on how often it is loaded.

The forest has hundreds of megabytes.
"""

from workloads.base import Workload
from workloads.data_parallel.random_forest import ForestParams
from workloads.inference.engines import engines_for
from workloads.inference.formats import PickledForest
from workloads.inference.pattern import INFERENCE, PREDICTED, InferenceParams


class ForestInference(InferenceParams):
    """The parameters of this inference. Its model has the parameters of `data_parallel.random_forest`."""

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
