"""Suites of the workload `data_parallel.toy`, and the moment in which its case computes."""

import subprocess
import time
from pathlib import Path

from tests.measure.observing import PATIENCE


def tiny(rows: int = 2000) -> str:
    """The data set `tiny` of a suite."""
    return f"""
[dataset.tiny]
kind = "regression"
rows = {rows}
features = 4
"""


DATA = tiny()

BYSTANDERS = """
[[measure]]
workload = "data_parallel.toy"
engines = ["bystander"]
datasets = ["tiny"]
fractions = ["1/2", "1"]
"""

FOREVER = 600.0
"""Seconds."""


def suite_of(
    engine: str = "toy", rounds: int = 1, deadline: int = 300, rest: str = BYSTANDERS, **params: object
) -> str:
    """A suite with a toy of these parameters, in a worker of its own, and bystanders in another."""
    stated = ", ".join(
        f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for name, value in params.items()
    )
    return f"""
rounds = {rounds}
deadline_seconds = {deadline}
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["{engine}"]
datasets = ["tiny"]
isolate = true
params = {{ {stated} }}
{rest}
"""


def worker_in_fit(process: "subprocess.Popen[str]", marker: Path, patience: float = PATIENCE) -> int:
    """The process id of the worker, once its case is in `fit`."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.poll() is None:
        if marker.exists() and (text := marker.read_text()):
            return int(text)
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no case was in fit within {patience} s: {process.communicate()[1][-2000:]}")
