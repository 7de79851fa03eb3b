"""Runs one function as distributed PyTorch processes inside Spark's tasks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workloads.libraries.tasks import pickled_by_value


def run_distributed(
    spark: Any, function: Callable[..., Any], *arguments: Any, processes: int, use_gpu: bool = False
) -> Any:
    """What rank 0 returns. `function` runs in so many processes at once, set up for `torch.distributed` (gloo, or
    nccl with `use_gpu`), each a child of one barrier task. These children import nothing of ours: what they need of
    our packages goes along by value.

    On GPUs in Spark's local mode, whose tasks are given no devices, they are children of the driver instead, and see
    all of its devices; `own_device` tells them apart.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    by_driver = use_gpu and spark.sparkContext.master.startswith("local")
    with pickled_by_value(), _nothing_hidden():
        distributor = TorchDistributor(num_processes=processes, local_mode=by_driver, use_gpu=use_gpu)
        distributor.spark = spark
        return distributor.run(function, *arguments)


def own_device(device: str) -> str:
    """Of a process that `run_distributed` started, the device that is no other's: of the visible ones its number on
    this host.
    """
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


@contextmanager
def _nothing_hidden() -> Iterator[None]:
    """Addresses that Spark knows count all devices; TorchDistributor would count them within CUDA_VISIBLE_DEVICES."""
    kept = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = kept
