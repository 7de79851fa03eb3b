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

    The processes are set up for `torch.distributed` (gloo, or nccl with `use_gpu`). Each process is the child of a
    barrier task. It cannot import our packages, so the functions that it needs are pickled by value.

    In Spark's local mode, Spark tasks get no GPUs. So with `use_gpu`, the processes are children of the driver
    there, and see all GPUs of the host. `own_device` assigns one GPU to each process.
    """
    from pyspark.ml.torch.distributor import TorchDistributor

    by_driver = use_gpu and spark.sparkContext.master.startswith("local")
    with pickled_by_value(), _all_devices_visible():
        distributor = TorchDistributor(num_processes=processes, local_mode=by_driver, use_gpu=use_gpu)
        distributor.spark = spark
        return distributor.run(function, *arguments)


def own_device(device: str) -> str:
    """Returns PyTorch's name of the device for this process, which `run_distributed` has started.

    If `device` is "cuda", the process uses the GPU with the number of its local rank. Otherwise returns `device`.
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
