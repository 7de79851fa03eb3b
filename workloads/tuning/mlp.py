"""Tuning of perceptrons: single-node trials use PyTorch, and trials over the whole cluster use MLlib's perceptron."""

from typing import Any

from pydantic import Field, model_validator

from workloads.base import Workload
from workloads.data_parallel.mlp import MLlibPerceptron, MlpParams, Torch
from workloads.tuning.engines import engines_for
from workloads.tuning.pattern import JUDGED, TUNING, TuningParams
from workloads.tuning.space import Choice, Dimension, Range


class SizedMlpParams(MlpParams):
    """The parameters of a network that has `layers` hidden layers with `width` units.

    `hidden` is computed from `layers` and `width`.
    """

    layers: int = Field(default=2, ge=1)
    width: int = Field(default=32, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _sized(cls, given: Any) -> Any:
        fields = cls.model_fields
        layers, width = (given.get(name, fields[name].default) for name in ("layers", "width"))
        valid = isinstance(layers, int) and isinstance(width, int)
        return {**given, "hidden": (width,) * layers} if valid else given


class TuningMlpParams(TuningParams):
    """The parameters of this tuning. Every configuration has the same number of epochs.

    MLlib's perceptron has neither a learning rate nor a batch size.
    """

    model: SizedMlpParams = SizedMlpParams(epochs=3)
    space: dict[str, Dimension] = {
        "learning_rate": Range(low=1e-4, high=3e-2, scale="log"),
        "width": Range(low=8, high=128, scale="log", whole=True),
        "layers": Range(low=1, high=3, whole=True),
        "batch": Choice(choices=(256, 1024, 4096)),
    }


WORKLOAD = Workload(
    name="tuning.mlp",
    summary="Multilayer perceptrons, many configurations",
    pattern=TUNING,
    quality=JUDGED,
    params=TuningMlpParams(),
    engines=engines_for(TuningMlpParams, Torch, MLlibPerceptron, "torch"),
    version=2,  # in version 1 `load` made the split
)
