"""Checks that this machine can measure on its GPUs: tries NVML, PyTorch, Spark's scheduler and a few cases."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from cluster import gpu, java, lifecycle
from cluster.budget import budget
from cluster.gpu import Binding
from cluster.lifecycle import Cluster
from cluster.profile import Standalone, cache_folder
from sparkscale.contract.errors import SparkscaleError
from sparkscale.measure.doctor.doctor import Check
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.run import Request, measure
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.measure.worker.gpu_tasks import Holding, overlapping
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied
from sparkscale.measure.worker.protocol import Held, HoldGpus
from sparkscale.measure.worker.startup import Session, open_worker
from workloads.libraries.tasks import Processes

HOLD_SECONDS = 1.0
ANSWER_SECONDS = 180.0
CORES = 4
MATRIX = 256
MEASURED = "workload=data_parallel.gradient_boosting,device=gpu,fraction=1/16"
"""A filter for the suite `gpu`. It selects cases that need no library beyond sparkscale's requirements."""


def examine_gpus(observer: Callable[[], Observer]) -> list[Check]:
    """Runs all checks and returns their results. Without a GPU, the only result says why no GPU was found."""
    gpus = gpu.discover()
    if not gpus.devices:
        return [Check("GPUs", False, gpus.reason or "none", "Install the NVIDIA driver, or use a host with a GPU.")]
    return list(_checks(gpus, observer))


def _checks(gpus: gpu.Gpus, observer: Callable[[], Observer]) -> Iterator[Check]:
    names = ", ".join(f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB" for device in gpus.devices)
    yield Check("GPUs", True, f"{names} (driver {gpus.driver})")
    yield _readings(gpus)
    yield _torch(gpus)
    yield _scheduling(gpus)
    yield _measured(observer)


def _readings(gpus: gpu.Gpus) -> Check:
    reading = gpu.read(tuple(device.index for device in gpus.devices))
    if reading is None or reading.memory_bytes is None:
        return Check("memory in use", False, "NVML does not report it", "Update the driver.")
    energy = "not reported" if reading.joules is None else "reported"
    text = f"{reading.memory_bytes / 2**20:.0f} MiB, {reading.utilisation} % busy, {reading.watts} W, energy {energy}"
    return Check("memory, load and energy", True, text)


def _torch(gpus: gpu.Gpus) -> Check:
    """Computes with PyTorch in a new process. A process must be bound to a GPU before CUDA starts in it."""
    index = str(gpus.devices[0].index)
    try:
        name = Processes(2).map(_use_torch, [index, index])[0]
    except Exception as error:
        return Check("PyTorch on a GPU", False, f"{type(error).__name__}: {error}", "Install PyTorch's CUDA build.")
    return Check("PyTorch on a GPU", True, name)


def _use_torch(index: str) -> str:
    with Binding((index,))():
        import torch

        square = torch.ones((MATRIX, MATRIX), device="cuda")
        total = float((square @ square).sum())
        if total != MATRIX**3 or torch.cuda.device_count() != 1:
            raise ValueError(f"it saw {torch.cuda.device_count()} devices, and summed to {total}")
        return f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"


def held_gpus(cluster: Cluster, tasks: int, log: Path, scratch: Path) -> list[Holding]:
    """Runs Spark tasks that each need a GPU. Returns the GPUs that each task held, as one Holding per task.

    `tasks` is the number of Spark tasks. Raises ClusterError, WorkerDied or DeadlineExceeded.
    """
    worker, _ = open_worker(cluster.profile, cluster.budget, Session("spark", 1, "gpu"), log, scratch, cluster)
    try:
        reply = worker.request(HoldGpus(tasks=tasks, seconds=HOLD_SECONDS), ANSWER_SECONDS)
        assert isinstance(reply, Held)
        return reply.holdings
    finally:
        worker.kill()


def _scheduling(gpus: gpu.Gpus) -> Check:
    """Checks that two Spark tasks never hold the same GPU at once, and that a task sees only its own GPU."""
    count = len(gpus.devices)
    profile = Standalone(
        name="doctor-gpu", kind="standalone", workers=1, cores=max(CORES, 2 * count), gpus=count, oversubscribe=True
    )
    try:
        with machine_lock(), scratch_folder() as scratch:
            jdk, granted = java.find(cache_folder()), budget(profile)
            with lifecycle.cluster_for(profile, granted, jdk, scratch / "cluster", scratch / "logs") as cluster:
                holdings = held_gpus(cluster, 2 * count, scratch / "worker.log", scratch / "worker")
    except (SparkscaleError, WorkerDied, DeadlineExceeded) as error:
        return Check("GPUs by Spark's scheduler", False, str(error), "Read the message.")
    misbound = [holding for holding in holdings if holding.visible != ",".join(holding.addresses)]
    if overlapping(holdings) or misbound:
        return Check("GPUs by Spark's scheduler", False, "two tasks held one GPU, or one saw another", "Report this.")
    return Check(
        "GPUs by Spark's scheduler", True, f"{len(holdings)} tasks on {count} GPUs, none held by two at once"
    )


def _measured(observer: Callable[[], Observer]) -> Check:
    """Measures one case of each XGBoost engine. A case is ok only if XGBoost's configuration names the GPU."""
    with tempfile.TemporaryDirectory(prefix="sparkscale-doctor-") as out:
        request = Request(suite="gpu", out=Path(out), filter=MEASURED, rounds=1)
        records = measure(request, observer).records
    failed_records = [record for record in records if record.outcome != "ok"]
    if failed_records:
        reason = (
            failed_records[0].error.message.splitlines()[0] if failed_records[0].error else failed_records[0].outcome
        )
        return Check("XGBoost, measured", False, f"{failed_records[0].case.engine}: {reason}", "Read the message.")
    return Check("XGBoost, measured", True, f"{len(records)} executions, each on the GPU by its own configuration")
