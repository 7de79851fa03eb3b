"""Turns this process into a daemon of Spark: sets its limits, then runs the command in this process.

Start it as `python -m cluster.launch JSON COMMAND…`, where JSON is a Launch.
"""

import os
import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from cluster import network, processes


class Launch(BaseModel):
    """The limits of a daemon. If `outlives` is true, the daemon goes on after its parent process has ended.

    If `limited` is false, the daemon has no memory limit. `namespace` is the network namespace of an emulated host.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: tuple[int, ...]
    memory_bytes: int
    cgroup: Path | None
    limited: bool
    outlives: bool
    namespace: Path | None = None


def main() -> None:
    launch = Launch.model_validate_json(sys.argv[1])
    if not launch.outlives:
        processes.die_with_parent()
    os.sched_setaffinity(0, launch.cpus)
    if launch.limited:
        processes.MemoryLimit(launch.memory_bytes, launch.cgroup).apply()
    if launch.namespace:
        network.enter(launch.namespace)
    # executors must not find this checkout on their path: as on other hosts, the session sends them our code
    os.environ.pop("PYTHONPATH", None)
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
