"""Which GPUs this host has, through NVML."""

from dataclasses import dataclass


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


def discover() -> Gpus:
    """Asks NVML; never raises."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Gpus((), None, str(error))
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        devices = tuple(
            Gpu(
                index,
                pynvml.nvmlDeviceGetName(handle),
                pynvml.nvmlDeviceGetUUID(handle),
                int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
            )
            for index, handle in enumerate(handles)
        )
        return Gpus(devices, pynvml.nvmlSystemGetDriverVersion(), None if devices else "NVML lists no device")
    except pynvml.NVMLError as error:
        return Gpus((), None, str(error))
    finally:
        pynvml.nvmlShutdown()
