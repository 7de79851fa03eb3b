"""That XGBoost trained where it was asked to: it falls back to the CPU with a warning only."""

import json
from typing import Any

from sparkscale.contract.case import Device
from sparkscale.contract.errors import DeviceError


def on_its_device(device: Device) -> list[Any]:
    """Callbacks by which a training that was to run on a GPU, and did not, fails where it ran.

    XGBoost falls back to the CPU with a warning only; the configuration of the model tells.
    """
    from xgboost.callback import TrainingCallback

    class OnGpu(TrainingCallback):
        def after_training(self, model: Any) -> Any:
            check_ran_on_gpu(model)
            return model

    return [OnGpu()] if device == "gpu" else []


def check_ran_on_gpu(model: Any) -> None:
    """Raises DeviceError unless a booster's configuration names a CUDA device."""
    used = json.loads(model.save_config())["learner"]["generic_param"]["device"]
    if not used.startswith("cuda"):
        raise DeviceError(f"XGBoost trained on '{used}', not on a GPU: it found no device that it can use.")
