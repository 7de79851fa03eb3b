"""Measures the memory that a worker needs before it has any data: that of an idle one with the case's imports.

Libraries are imported inside the phases, for a first run pays for that. So a case's own process never shows the
memory of its imports alone, and another one is needed.
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
    """The modules that a worker had imported when its last case's phases ended.

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
    """Peak memory of idle workers, each kind measured once. `spawn` starts a worker on the limits of a case's."""

    spawn: Callable[[Session], WorkerProcess]
    _peaks: dict[Kind, int] = field(default_factory=dict)

    def known(self, case: Case) -> int | None:
        """Bytes; None if no idle worker of this kind was measured yet."""
        return self._peaks.get(_kind(case))

    def measure(self, case: Case, modules: tuple[str, ...]) -> int | None:
        """Bytes, by the same means as the peak of a case. No other worker may live: they would share pages.

        None if the worker does not start, or ends while it imports.
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
    """Cases of one kind import the same modules."""
    return case.workload, case.engine, case.task, case.parameter_set, case.device, str(case.threads)
