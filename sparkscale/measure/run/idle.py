"""Measures the memory of an idle worker, which imports the same modules as the worker of a case but reads no data.

Engines import libraries inside the phases, because a first run must include the time of these imports. So the
worker of a case never holds the imports without data. A second worker is needed to measure them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sparkscale.contract.case import Case
from sparkscale.contract.errors import SparkscaleError
from sparkscale.measure.worker.process import DeadlineExceeded, WorkerDied, WorkerProcess
from sparkscale.measure.worker.protocol import Import, Imported
from sparkscale.measure.worker.samplers import MemorySampler
from sparkscale.measure.worker.startup import Session

IMPORT_SECONDS = 120.0

Kind = tuple[str, ...]


def imported_by(worker: WorkerProcess) -> tuple[str, ...]:
    """Returns the modules that a worker had imported when the phases of its last case ended.

    Raises WorkerDied or DeadlineExceeded.
    """
    return _imported(worker, ())


def _imported(
    worker: WorkerProcess, modules: tuple[str, ...], sampler: MemorySampler | None = None
) -> tuple[str, ...]:
    reply = worker.request(Import(modules=modules), IMPORT_SECONDS, [sampler] if sampler else [])
    assert isinstance(reply, Imported)
    return reply.modules


@dataclass
class IdleWorkers:
    """The peak memory of idle workers, measured once for each kind of case.

    `spawn` starts a worker for a session, with the same limits as the worker of a case.
    """

    spawn: Callable[[Session], WorkerProcess]
    _peaks: dict[Kind, int] = field(default_factory=dict)

    def known(self, case: Case) -> int | None:
        """Returns the peak of an idle worker for this case in bytes; None if it was not measured yet."""
        return self._peaks.get(_kind(case))

    def measure(self, case: Case, modules: tuple[str, ...]) -> int | None:
        """Starts an idle worker that imports `modules`, and returns the worker's peak memory in bytes.

        The peak is measured in the same way as that of a case. No other worker may be alive, because two workers
        would share pages of memory. Returns None if the worker does not start or does not finish its imports.
        """
        worker = None
        try:
            worker = self.spawn(Session(case.placement, case.known_threads, case.device))
            sampler = MemorySampler(worker.process.pid)
            _imported(worker, modules, sampler)
            self._peaks[_kind(case)] = sampler.peak()
        except (WorkerDied, DeadlineExceeded, SparkscaleError):
            return None
        finally:
            if worker:
                worker.kill()
        return self._peaks[_kind(case)]


def _kind(case: Case) -> Kind:
    """Returns the kind of a case. All cases of one kind import the same modules."""
    return case.workload, case.engine, str(case.task), case.parameter_set, case.device, str(case.threads)
