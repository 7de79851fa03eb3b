"""Runs one function as distributed PyTorch processes in Spark tasks."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from workloads.libraries.tasks import pickled_by_value


def run_distributed(
    spark: Any, function: Callable[..., Any], *arguments: Any, processes: int, use_gpu: bool = False
) -> Any:
    """Runs `function` in several processes at once, and returns the result of rank 0.

    The processes are set up for `torch.distributed` (gloo, or nccl with `use_gpu`). Each is a child of one barrier
    task. These children cannot import our packages, so the functions that they need are sent by value.

    In Spark's local mode, Spark tasks get no GPUs. There the processes are children of the driver, and see all of its
    devices; `own_device` gives each its own.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    by_driver = use_gpu and spark.sparkContext.master.startswith("local")
    with pickled_by_value(), _all_devices_visible():
        distributor = TorchDistributor(num_processes=processes, local_mode=by_driver, use_gpu=use_gpu)
        distributor.spark = spark
        return distributor.run(function, *arguments)


def own_device(device: str) -> str:
    """Returns the device of this process, which `run_distributed` started: its rank on this host is the GPU's number.

    Returns `device` itself if that is no GPU.
    """
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


@contextmanager
def _all_devices_visible() -> Iterator[None]:
    """Removes CUDA_VISIBLE_DEVICES during the block.

    Spark's addresses number all devices, but TorchDistributor would take them as positions in that variable.
    """
    removed = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        yield
    finally:
        if removed is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = removed
