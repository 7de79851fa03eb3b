"""Inference with PyTorch's multilayer perceptron. The features must first be one-hot encoded."""

from workloads.base import Workload
from workloads.data_parallel.mlp import MlpParams
from workloads.inference.engines import engines_for
from workloads.inference.formats import StateDict
from workloads.inference.pattern import INFERENCE, PREDICTED, InferenceParams


class MlpInference(InferenceParams):
    """The parameters of this inference. Its model has the parameters of `data_parallel.mlp`."""

    model: MlpParams = MlpParams(hidden=(256, 128), epochs=2)


WORKLOAD = Workload(
    name="inference.mlp",
    summary="PyTorch's perceptron, applied to many rows",
    pattern=INFERENCE,
    quality=PREDICTED,
    params=MlpInference(),
    engines=engines_for(StateDict, MlpInference),
)
