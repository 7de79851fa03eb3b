"""Can this machine measure on its GPUs? End to end: NVML, CUDA libraries, Spark's scheduler, a measured case."""

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
from sparkscale.measure.worker.gpu_tasks import Holding, shared
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied
from sparkscale.measure.worker.protocol import Held, HoldGpus
from sparkscale.measure.worker.startup import Session, open_worker
from workloads.libraries.tasks import Processes

HOLD_SECONDS = 1.0
ANSWER_SECONDS = 180.0
CORES = 4
MATRIX = 256
MEASURED = "workload=data_parallel.gradient_boosting,device=gpu,fraction=1/16"
"""Of the suite `gpu`: what needs no library beyond sparkscale's own."""


def examine_gpus(observer: Callable[[], Observer]) -> list[Check]:
    """Every check; without a GPU the first says why, and nothing else is tried."""
    found = gpu.discover()
    if not found.devices:
        return [Check("GPUs", False, found.reason or "none", "Install the NVIDIA driver, or use a host with a GPU.")]
    return list(_checks(found, observer))


def _checks(found: gpu.Gpus, observer: Callable[[], Observer]) -> Iterator[Check]:
    names = ", ".join(f"{device.name}, {device.memory_bytes / 2**30:.0f} GiB" for device in found.devices)
    yield Check("GPUs", True, f"{names} (driver {found.driver})")
    yield _readings(found)
    yield _torch(found)
    yield _scheduling(found)
    yield _measured(observer)


def _readings(found: gpu.Gpus) -> Check:
    now = gpu.read(tuple(device.index for device in found.devices))
    if now is None or now.memory_bytes is None:
        return Check("memory in use", False, "NVML does not tell", "Update the driver.")
    joules = "not told" if now.joules is None else "told"
    text = f"{now.memory_bytes / 2**20:.0f} MiB, {now.utilisation} % busy, {now.watts} W, energy {joules}"
    return Check("memory, load and energy", True, text)


def _torch(found: gpu.Gpus) -> Check:
    """In a fresh process, so that it is bound before CUDA starts."""
    index = str(found.devices[0].index)
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
    """Who held what when so many tasks wanted a GPU each. Raises ClusterError, WorkerDied or DeadlineExceeded."""
    worker, _ = open_worker(cluster.profile, cluster.budget, Session("spark", 1, "gpu"), log, scratch, cluster)
    try:
        reply = worker.request(HoldGpus(tasks=tasks, seconds=HOLD_SECONDS), ANSWER_SECONDS)
        assert isinstance(reply, Held)
        return reply.holdings
    finally:
        worker.kill()


def _scheduling(found: gpu.Gpus) -> Check:
    """As the test with made-up addresses does: no GPU is ever given to two tasks at once."""
    count = len(found.devices)
    profile = Standalone(
        name="doctor-gpu", kind="standalone", workers=1, cores=max(CORES, 2 * count), gpus=count, oversubscribe=True
    )
    try:
        with machine_lock(), scratch_folder() as scratch:
            jdk, granted = java.find(cache_folder()), budget(profile)
            with lifecycle.cluster_for(profile, granted, jdk, scratch / "cluster", scratch / "logs") as cluster:
                held = held_gpus(cluster, 2 * count, scratch / "worker.log", scratch / "worker")
    except (SparkscaleError, WorkerDied, DeadlineExceeded) as error:
        return Check("GPUs by Spark's scheduler", False, str(error), "Read the message.")
    wrong = [one for one in held if one.visible != ",".join(one.addresses)]
    if shared(held) or wrong:
        return Check("GPUs by Spark's scheduler", False, "two tasks held one GPU, or saw another", "Report this.")
    return Check("GPUs by Spark's scheduler", True, f"{len(held)} tasks on {count} GPUs, none held by two at once")


def _measured(observer: Callable[[], Observer]) -> Check:
    """A case of each engine that can: XGBoost's own configuration must say that it ran on the GPU."""
    with tempfile.TemporaryDirectory(prefix="sparkscale-doctor-") as out:
        request = Request(suite="gpu", out=Path(out), filter=MEASURED, rounds=1)
        records = measure(request, observer).records
    bad = [record for record in records if record.outcome != "ok"]
    if bad:
        reason = bad[0].error.message.splitlines()[0] if bad[0].error else bad[0].outcome
        return Check("XGBoost, measured", False, f"{bad[0].case.engine}: {reason}", "Read the message.")
    return Check("XGBoost, measured", True, f"{len(records)} executions, each on the GPU by its own configuration")
