"""Makes the arguments of all engines that use XGBoost, and checks that XGBoost trained on the requested device."""

import json
from typing import Any

from pydantic import Field

from sparkscale.contract.case import Device, Task
from sparkscale.contract.errors import DeviceError
from workloads.base import Params

DEFAULTS = {
    "n_estimators": 100,
    "max_depth": 6,
    "max_leaves": 0,
    "learning_rate": 0.3,
    "max_bin": 256,
    "reg_lambda": 1.0,
    "min_child_weight": 1.0,
}
OBJECTIVES: dict[Task, str] = {"classification": "binary:logistic", "regression": "reg:squarederror"}


class BoostedTrees(Params):
    """The parameters of boosted trees that grow on histograms with `bins` bins.

    The trees grow level by level to `depth`, without a limit on the number of leaves.

    `min_child_weight` is the smallest allowed sum of the Hessians of a leaf's rows.
    """

    trees: int = Field(default=100, ge=1)
    depth: int = Field(default=6, ge=1)
    learning_rate: float = Field(default=0.1, gt=0)
    bins: int = Field(default=64, ge=2)
    l2: float = Field(default=1.0, ge=0)
    min_child_weight: float = Field(default=1.0, ge=0)


def boosting_arguments(params: BoostedTrees) -> dict[str, Any]:
    """Returns the arguments of XGBoost's scikit-learn interface. Its Spark estimator has the same arguments."""
    return {
        "n_estimators": params.trees,
        "max_depth": params.depth,
        "max_leaves": 0,
        "learning_rate": params.learning_rate,
        "max_bin": params.bins,
        "reg_lambda": params.l2,
        "min_child_weight": params.min_child_weight,
    }


def on_its_device(device: Device) -> list[Any]:
    """Returns callbacks that raise DeviceError if a training for the device "gpu" ran on the CPU; empty for "cpu".

    Without a GPU, XGBoost only warns and uses the CPU. The configuration of the model names the device that was used.
    """
    from xgboost.callback import TrainingCallback

    class OnGpu(TrainingCallback):
        def after_training(self, model: Any) -> Any:
            check_ran_on_gpu(model)
            return model

    return [OnGpu()] if device == "gpu" else []


def check_ran_on_gpu(model: Any) -> None:
    """Raises DeviceError if the configuration of a booster does not name a CUDA device."""
    used = json.loads(model.save_config())["learner"]["generic_param"]["device"]
    if not used.startswith("cuda"):
        raise DeviceError(
            f"XGBoost trained on '{used}', not on a GPU: it found no device that it can use. Run `sparkscale doctor`."
        )
