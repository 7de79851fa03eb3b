"""Inference with XGBoost's trees, which load and predict quickly: most of the time goes into moving the rows."""

from workloads.base import Workload
from workloads.data_parallel.gradient_boosting import BoostingParams
from workloads.inference.engines import engines_for
from workloads.inference.formats import Ubjson
from workloads.inference.pattern import INFERENCE, PREDICTED, InferenceParams
from workloads.inference.transform import XGBoostSparkTransform


class BoostingInference(InferenceParams):
    """The parameters of this inference. Its model has the parameters of `data_parallel.gradient_boosting`."""

    model: BoostingParams = BoostingParams(trees=100, depth=6)


WORKLOAD = Workload(
    name="inference.boosting",
    summary="XGBoost's trees, applied to many rows",
    pattern=INFERENCE,
    quality=PREDICTED,
    params=BoostingInference(),
    engines=(*engines_for(Ubjson, BoostingInference), XGBoostSparkTransform.made_for(Ubjson, BoostingInference)),
)
