"""Times the phases of an engine, and counts the CPU time that the case and other processes use meanwhile."""

import time
from typing import Any

from cluster import processes
from cluster.load import Load
from sparkscale.contract import errors
from sparkscale.contract.context import Context
from sparkscale.measure.worker.protocol import PhaseStarted

CPU_TOLERANCE = 1.1
"""A case is invalid if its CPU time is more than this factor times cores × wall time.

The factor is above 1, because different clocks measure CPU time and wall time.
"""


class PhaseClock:
    """Measures the wall time and the CPU time of each phase.

    `process_trees` are the ids of the process trees that work for the case, and `cpus` the CPUs that the case may
    use. `foreign` is the CPU time in seconds that other processes used on these CPUs during the phases. `stolen`
    is the time in seconds that the hypervisor took from these CPUs. `foreign` and `stolen` are None if the kernel
    does not report the load of each CPU.
    """

    def __init__(self, say: Any, process_trees: tuple[int, ...], cpus: tuple[int, ...]) -> None:
        self._say = say
        self._process_trees = process_trees
        self._cpus = cpus
        self.foreign: float | None = 0.0
        self.stolen: float | None = 0.0
        self.seconds: dict[str, float] = {}
        self.cpu_seconds = 0.0
        self.python_started: set[tuple[int, float]] = set()
        """The Python processes that began in a phase: id and start time of each."""

    def run(self, engine: Any, phases: tuple[str, ...], run: Context) -> Any:
        """Runs the phases in order, and returns the result of the last phase.

        The first phase gets the context. Each later phase also gets the result of the phase before it.
        """
        arguments: tuple[Any, ...] = (run,)
        for phase in phases:
            self._say(PhaseStarted(name=phase))
            method = getattr(engine, phase)
            before = self._python()
            load = Load.of(self._cpus)
            spent = self._spent()
            started = time.perf_counter()
            try:
                result = method(*arguments)
            finally:
                self.seconds[phase] = time.perf_counter() - started
                own = max(0.0, self._spent() - spent)
                self.cpu_seconds += own
                self._count_others(load, own)
                self.python_started |= self._python() - before
            arguments = (run, result)
        return arguments[1]

    def _count_others(self, before: Load | None, own: float) -> None:
        now = Load.of(self._cpus)
        if before is None or now is None or self.foreign is None or self.stolen is None:
            self.foreign = self.stolen = None
            return
        self.foreign += max(0.0, now.busy - before.busy - own)
        self.stolen += now.stolen - before.stolen

    def _python(self) -> frozenset[tuple[int, float]]:
        return frozenset().union(*map(processes.python_processes, self._process_trees))

    def _spent(self) -> float:
        """Returns the CPU seconds of all process trees so far, which are those of the worker and the daemons."""
        return sum(map(processes.cpu_seconds, self._process_trees))

    def check_budget(self, cores: int) -> None:
        """Raises InvalidResult if the phases used more CPU time than the cores of the budget can give."""
        wall = sum(self.seconds.values())
        if self.cpu_seconds > CPU_TOLERANCE * cores * wall + 0.1:
            raise errors.InvalidResult(
                f"The phases used {self.cpu_seconds:.1f} CPU seconds in {wall:.1f} s, more than a budget of "
                f"{cores} cores can give: something starts too many threads or processes."
            )
