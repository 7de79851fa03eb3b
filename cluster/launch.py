"""Becomes a daemon of Spark: takes on its limits, then runs the command in this process.

Started as `python -m cluster.launch JSON COMMAND…`; JSON is a Launch.
"""

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cluster import processes


class Launch(BaseModel):
    """What the command may use; with `outlives` it goes on after the one that started it has ended."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: tuple[int, ...]
    memory_bytes: int
    cgroup: Path | None
    limited: bool
    outlives: bool


def main() -> None:
    launch = Launch.model_validate_json(sys.argv[1])
    if not launch.outlives:
        processes.die_with_parent()
    os.sched_setaffinity(0, launch.cpus)
    if launch.limited:
        processes.MemoryLimit(launch.memory_bytes, launch.cgroup).apply()
    # executors must work where nobody has this checkout on the path: they get our code from the session
    os.environ.pop("PYTHONPATH", None)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
