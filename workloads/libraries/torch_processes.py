"""Runs one function in several distributed PyTorch processes, in Spark tasks."""

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
    task. These processes cannot import our packages, so the functions that they need are pickled by value.

    In Spark's local mode, Spark tasks get no GPUs. There the processes are children of the driver, and see all of its
    devices. `own_device` assigns one device to each.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    by_driver = use_gpu and spark.sparkContext.master.startswith("local")
    with pickled_by_value(), _all_devices_visible():
        distributor = TorchDistributor(num_processes=processes, local_mode=by_driver, use_gpu=use_gpu)
        distributor.spark = spark
        return distributor.run(function, *arguments)


def own_device(device: str) -> str:
    """Returns the device of a process that `run_distributed` started. Its rank on this host is the number of its GPU.

    Returns `device` itself if it is not a GPU.
    """
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" else device


@contextmanager
def _all_devices_visible() -> Iterator[None]:
    """Removes CUDA_VISIBLE_DEVICES during the block.

    Spark numbers GPUs over all devices of the host. TorchDistributor would read these numbers as indexes into
    CUDA_VISIBLE_DEVICES.
    """
    removed = os.environ.pop("CUDA_VISIBLE_DEVICES", None)
    try:
        yield
    finally:
        if removed is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = removed
