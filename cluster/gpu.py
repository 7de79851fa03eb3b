"""Finds the GPUs of this host, reads their memory and energy, and binds a Spark task to its own GPU.

This file is also Spark's discovery script (`spark.{driver,worker,executor}.resource.gpu.discoveryScript`). Run as a
script, it prints {"name": "gpu", "addresses": ["0", "1"]}. It imports no other module of sparkscale, so that the file
alone can be copied to a cluster.

The address of a GPU is its number in NVML. CUDA uses the same numbers if CUDA_DEVICE_ORDER is PCI_BUS_ID.
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
"""The environment variable that lists the GPUs, by number in NVML, which the discovery script announces.

It is set if several of Spark's processes share a host. Otherwise, the script announces all visible GPUs.
"""

CUDA_DRIVER = "/dev/nvidia-uvm"
"""A process has this file open if CUDA has started in the process. NVML does not open the file."""


@dataclass(frozen=True)
class Gpu:
    """One GPU of this host. `index` is its number in NVML."""

    index: int
    name: str
    uuid: str
    memory_bytes: int


@dataclass(frozen=True)
class Gpus:
    """The GPUs of this host. If there is none, `reason` says why; otherwise `reason` is None.

    `driver` is the version of NVIDIA's driver. It is None if NVML does not start.
    """

    devices: tuple[Gpu, ...]
    driver: str | None
    reason: str | None


@dataclass(frozen=True)
class Reading:
    """The memory, power and energy that several GPUs use in total at one moment, and the highest utilisation.

    `utilisation` is in percent, and None if no device reports it. Each other value is None if a device does not
    report it. `joules` is the energy used since NVIDIA's driver was loaded.
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
    """Returns the GPUs that NVML lists and CUDA_VISIBLE_DEVICES does not hide. Never raises."""
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
    """Returns the devices that a process sees with this value of CUDA_VISIBLE_DEVICES, in the value's order.

    As in CUDA, the list ends at the first entry that names no device.
    """
    if variable is None:
        return tuple(devices)
    visible: list[Gpu] = []
    for entry in (part.strip() for part in variable.split(",")):
        matching = [
            device for device in devices if entry == str(device.index) or (entry and device.uuid.startswith(entry))
        ]
        if not matching:
            break
        visible.append(matching[0])
    return tuple(visible)


def read(indices: tuple[int, ...]) -> Reading | None:
    """Reads the devices with these numbers in NVML, as they are now. Returns None if NVML does not answer."""
    import pynvml

    def query(function: Any, handle: Any) -> Any:
        try:
            return function(handle)
        except pynvml.NVMLError:
            return None

    def total(values: list[float | None], scale: float) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / scale if known and len(known) == len(values) else None

    try:
        with _nvml() as nvml:
            handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in indices]
            memory = [query(nvml.nvmlDeviceGetMemoryInfo, handle) for handle in handles]
            rates = [query(nvml.nvmlDeviceGetUtilizationRates, handle) for handle in handles]
            milliwatts = [query(nvml.nvmlDeviceGetPowerUsage, handle) for handle in handles]
            millijoules = [query(nvml.nvmlDeviceGetTotalEnergyConsumption, handle) for handle in handles]
    except pynvml.NVMLError:
        return None
    used = total([info and info.used for info in memory], 1)
    return Reading(
        memory_bytes=None if used is None else int(used),
        utilisation=max((float(rate.gpu) for rate in rates if rate is not None), default=None),
        watts=total(milliwatts, 1e3),
        joules=total(millijoules, 1e3),
    )


def discovery_script(folder: Path, indices: tuple[int, ...]) -> Path:
    """Writes a discovery script that announces only these devices, and returns its path.

    The script runs this module with this Python.
    """
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "discover-gpus"
    share = ",".join(map(str, indices))
    script.write_text(f'#!/bin/sh\n{SHARE}={share} exec "{sys.executable}" -P "{Path(__file__).absolute()}"\n')
    script.chmod(0o755)
    return script


@dataclass(frozen=True)
class Binding:
    """Binds the code in a `with` block to its own GPUs and hides all others: `with run.bind_gpu() as addresses`.

    Inside of a Spark task, the block gets the GPUs that the scheduler gave the task (`TaskContext.resources()`).
    Outside of Spark tasks it gets `node`, the GPUs that the profile grants. CUDA_VISIBLE_DEVICES is set during
    the block and restored at its end. A binding can be pickled, so that a closure can use it.
    """

    node: tuple[str, ...] = ()

    @contextmanager
    def __call__(self) -> Iterator[tuple[str, ...]]:
        """Yields the addresses of the bound GPUs.

        Raises RuntimeError if there is no GPU to bind, or if CUDA already runs in this process on other GPUs.
        """
        addresses = self._addresses()
        requested, before = ",".join(addresses), os.environ.get(VISIBLE)
        if before != requested and _cuda_runs():
            raise RuntimeError(
                f"CUDA already runs in this process with {VISIBLE}={before}, so it cannot be bound to GPU "
                f"{requested}: bind before the first use of a CUDA library."
            )
        os.environ.update({VISIBLE: requested, **ORDER})
        try:
            yield addresses
        finally:
            os.environ.pop(VISIBLE)
            if before is not None:
                os.environ[VISIBLE] = before

    def _addresses(self) -> tuple[str, ...]:
        task = _task_context()
        if task is None and not self.node:
            raise RuntimeError("There is no GPU to bind: the cluster profile grants none. Set `gpus` in the profile.")
        if task is None:
            return self.node
        granted = task.resources().get(RESOURCE)
        if granted is None:
            raise RuntimeError(
                "Spark gave this task no GPU: set spark.task.resource.gpu.amount in the session's settings."
            )
        return tuple(granted.addresses)


def _task_context() -> Any:
    """Returns the TaskContext if this code runs in a Spark task; otherwise None.

    This function never imports pyspark itself.
    """
    pyspark = sys.modules.get("pyspark")
    return pyspark.TaskContext.get() if pyspark else None


def _cuda_runs() -> bool:
    """True if CUDA has started in this process."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()) == CUDA_DRIVER:
                return True
    return False


def main() -> None:
    """Prints the JSON that Spark expects from a discovery script. If there is no GPU, prints why and exits with 1."""
    gpus = discover()
    share = os.environ.get(SHARE)
    addresses = [str(device.index) for device in gpus.devices]
    if share is not None:
        addresses = [address for address in addresses if address in share.split(",")]
    if not addresses:
        sys.exit(f"No GPU: {gpus.reason or f'none of {SHARE}={share} exists'}.")
    sys.stdout.write(json.dumps({"name": RESOURCE, "addresses": addresses}) + "\n")


if __name__ == "__main__":
    main()
