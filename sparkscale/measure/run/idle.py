"""Measures the memory that a worker needs without data: an idle worker imports the same modules as the case.

Libraries are imported inside the phases, because a first run must pay for that. So the memory of the imports alone
cannot be seen in the process of a case. Another process is needed.
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

    `spawn` starts a worker with the limits of a case.
    """

    spawn: Callable[[Session], WorkerProcess]
    _peaks: dict[Kind, int] = field(default_factory=dict)

    def known(self, case: Case) -> int | None:
        """Returns the peak in bytes; None if no idle worker of this kind was measured yet."""
        return self._peaks.get(_kind(case))

    def measure(self, case: Case, modules: tuple[str, ...]) -> int | None:
        """Measures an idle worker in the same way as the peak of a case, and returns its peak in bytes.

        No other worker may be alive, because it would share pages with this one. Returns None if the worker does not
        start, or ends during its imports.
        """
        worker = None
        try:
            worker = self.spawn(Session(case.placement, case.threads, case.device))
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
    return case.workload, case.engine, case.task, case.parameter_set, case.device, str(case.threads)
