"""Finds the cases of a run that have no result."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sparkscale.analysis import metrics
from sparkscale.contract.phrases import with_threads
from sparkscale.contract.record import Outcome, RunRecord


@dataclass(frozen=True)
class Problem:
    """Executions of one subject that ended with the same outcome and the same reason.

    `reason` is one line. `fractions` lists the fractions of these executions, and `times` is their number.
    """

    subject: str
    outcome: Outcome
    reason: str
    fractions: tuple[float, ...]
    times: int


def problems(records: Iterable[RunRecord]) -> list[Problem]:
    """Returns the executions that are not ok, grouped by subject, outcome and reason.

    If an execution was repeated, only its last record counts.
    """
    fractions_by_problem: dict[tuple[str, Outcome, str], list[float]] = defaultdict(list)
    for record in metrics.latest(records):
        if record.outcome != "ok":
            reason = record.error.first_line if record.error else ""
            subject = with_threads(record.case.subject, record.limited_threads)
            fractions_by_problem[subject, record.outcome, reason].append(record.case.fraction)
    return [
        Problem(*problem, fractions=tuple(sorted(set(fractions))), times=len(fractions))
        for problem, fractions in fractions_by_problem.items()
    ]


def failed(records: list[RunRecord], added: int) -> bool:
    """Returns true if an execution is neither ok nor unsupported, or if a warm-up among the new records failed.

    The last `added` records are new. If an execution was repeated, only its last record counts.
    """
    fine = ("ok", "unsupported")
    new = records[len(records) - added :]
    return any(record.outcome not in fine for record in metrics.latest(records)) or any(
        record.outcome not in fine and record.is_warmup for record in new
    )
