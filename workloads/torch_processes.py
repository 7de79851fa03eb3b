"""Runs one function as distributed PyTorch processes inside Spark's tasks."""

from collections.abc import Callable
from typing import Any

from workloads.tasks import pickled_by_value


def run_distributed(
    spark: Any, function: Callable[..., Any], *arguments: Any, processes: int, use_gpu: bool = False
) -> Any:
    """What rank 0 returns. `function` runs in so many processes at once, set up for `torch.distributed` (gloo, or
    nccl with `use_gpu`), each a child of one barrier task. These children import nothing of ours: what they need of
    our packages goes along by value.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    distributor = TorchDistributor(num_processes=processes, local_mode=False, use_gpu=use_gpu)
    distributor.spark = spark
    with pickled_by_value():
        return distributor.run(function, *arguments)
