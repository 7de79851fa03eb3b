"""NVML discovery: what is there, or why nothing is."""

from pathlib import Path

from cluster import gpu


def test_discovery_agrees_with_the_driver_and_never_raises() -> None:
    found = gpu.discover()
    if Path("/proc/driver/nvidia/version").exists():
        assert found.driver
        assert all(device.uuid and device.memory_bytes > 0 for device in found.devices)
    else:
        assert found.devices == ()
        assert found.reason
