"""Which GPUs this host has, what they use, and which one a task may touch.

Run as a script it is Spark's discovery script (`spark.{driver,worker,executor}.resource.gpu.discoveryScript`): it
prints {"name": "gpu", "addresses": ["0", "1"]}. It imports nothing of sparkscale, so that it can be copied to a
cluster.

Addresses are device numbers as NVML counts them. CUDA counts alike when CUDA_DEVICE_ORDER is PCI_BUS_ID.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESOURCE = "gpu"
VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
SHARE = "SPARKSCALE_GPUS"
"""Of several processes of Spark's on one host each announces its own: the numbers that this variable lists."""

CUDA_DRIVER = "/dev/nvidia-uvm"
"""What a process holds open once CUDA has begun in it; NVML does not open it."""


@dataclass(frozen=True)
class Gpu:
    index: int
    name: str
    uuid: str
    memory_bytes: int


@dataclass(frozen=True)
class Gpus:
    """The GPUs found; when there is none, `reason` says why."""

    devices: tuple[Gpu, ...]
    driver: str | None
    reason: str | None


@dataclass(frozen=True)
class Reading:
    """What some GPUs show together at one moment; null where a device does not tell.

    Bytes in use, utilisation in percent (the largest), watts, joules since the driver was loaded.
    """

    memory_bytes: int | None
    utilisation: float | None
    watts: float | None
    joules: float | None


@contextmanager
def _nvml() -> Iterator[Any]:
    import pynvml

    pynvml.nvmlInit()
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def discover() -> Gpus:
    """Asks NVML for the GPUs that CUDA_VISIBLE_DEVICES leaves to this process; never raises."""
    import pynvml

    try:
        with _nvml() as nvml:
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
            every = [
                Gpu(
                    index,
                    nvml.nvmlDeviceGetName(handle),
                    nvml.nvmlDeviceGetUUID(handle),
                    int(nvml.nvmlDeviceGetMemoryInfo(handle).total),
                )
                for index, handle in enumerate(handles)
            ]
            driver = nvml.nvmlSystemGetDriverVersion()
    except pynvml.NVMLError as error:
        return Gpus((), None, f"NVML: {error}")
    devices = _visible(every, os.environ.get(VISIBLE))
    if not every:
        return Gpus((), driver, "NVML lists no device")
    return Gpus(devices, driver, None if devices else f"{VISIBLE} hides every device")


def _visible(devices: list[Gpu], variable: str | None) -> tuple[Gpu, ...]:
    """Those that CUDA would show, in its order: the list ends at the first entry that names no device."""
    if variable is None:
        return tuple(devices)
    found: list[Gpu] = []
    for entry in (part.strip() for part in variable.split(",")):
        named = [
            device for device in devices if entry == str(device.index) or (entry and device.uuid.startswith(entry))
        ]
        if not named:
            break
        found.append(named[0])
    return tuple(found)


def read(indices: tuple[int, ...]) -> Reading | None:
    """What these devices show now; None when NVML does not answer."""
    import pynvml

    def asked(question: Any, handle: Any) -> Any:
        try:
            return question(handle)
        except pynvml.NVMLError:
            return None

    def total(values: list[float | None], scale: float) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / scale if known and len(known) == len(values) else None

    try:
        with _nvml() as nvml:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in indices]
            memory = [asked(nvml.nvmlDeviceGetMemoryInfo, handle) for handle in handles]
            rates = [asked(nvml.nvmlDeviceGetUtilizationRates, handle) for handle in handles]
            milliwatts = [asked(nvml.nvmlDeviceGetPowerUsage, handle) for handle in handles]
            millijoules = [asked(nvml.nvmlDeviceGetTotalEnergyConsumption, handle) for handle in handles]
    except pynvml.NVMLError:
        return None
    used = total([found and found.used for found in memory], 1)
    return Reading(
        memory_bytes=None if used is None else int(used),
        utilisation=max((float(found.gpu) for found in rates if found is not None), default=None),
        watts=total(milliwatts, 1e3),
        joules=total(millijoules, 1e3),
    )


def announcer(folder: Path, indices: tuple[int, ...]) -> Path:
    """A discovery script for these devices alone: this module, run by this Python."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "discover-gpus"
    own = ",".join(map(str, indices))
    script.write_text(f'#!/bin/sh\n{SHARE}={own} exec "{sys.executable}" -P "{Path(__file__).absolute()}"\n')
    script.chmod(0o755)
    return script


@dataclass(frozen=True)
class Binding:
    """Gives the code in a `with` block its own GPUs and no other: `with run.bind_gpu() as addresses`.

    Inside a Spark task they are those that the scheduler gave it (`TaskContext.resources()`), elsewhere `node`, the
    profile's. CUDA_VISIBLE_DEVICES is set for the block, and put back after it. Picklable, for use in a closure.
    """

    node: tuple[str, ...] = ()

    @contextmanager
    def __call__(self) -> Iterator[tuple[str, ...]]:
        """Raises RuntimeError without a GPU to bind, and where CUDA already runs in this process on others."""
        addresses = self._addresses()
        wanted, before = ",".join(addresses), os.environ.get(VISIBLE)
        if before != wanted and _cuda_runs():
            raise RuntimeError(
                f"CUDA already runs in this process with {VISIBLE}={before}, so it cannot be bound to GPU {wanted}: "
                "bind before the first use of a CUDA library."
            )
        os.environ.update({VISIBLE: wanted, **ORDER})
        try:
            yield addresses
        finally:
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before

    def _addresses(self) -> tuple[str, ...]:
        task = _task_context()
        if task is None and not self.node:
            raise RuntimeError("There is no GPU to bind: the cluster profile grants none.")
        if task is None:
            return self.node
        granted = task.resources().get(RESOURCE)
        if granted is None:
            raise RuntimeError("Spark gave this task no GPU: the session does not ask for spark.task.resource.gpu.")
        return tuple(granted.addresses)


def _task_context() -> Any:
    """The Spark task that this code runs in, if any; never imports pyspark into a process that does without."""
    pyspark = sys.modules.get("pyspark")
    return pyspark.TaskContext.get() if pyspark else None


def _cuda_runs() -> bool:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()) == CUDA_DRIVER:
                return True
    return False


def main() -> None:
    """Prints what Spark expects of a discovery script; exits with 1, and the reason, when there is no GPU."""
    found = discover()
    own = os.environ.get(SHARE)
    addresses = [str(device.index) for device in found.devices]
    if own is not None:
        addresses = [address for address in addresses if address in own.split(",")]
    if not addresses:
        sys.exit(f"No GPU: {found.reason or f'none of {SHARE}={own} is there'}.")
    sys.stdout.write(json.dumps({"name": RESOURCE, "addresses": addresses}) + "\n")


if __name__ == "__main__":
    main()
