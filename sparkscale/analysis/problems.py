"""The cases of a run that have no result."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sparkscale.analysis import metrics
from sparkscale.contract.record import Outcome, RunRecord


@dataclass(frozen=True)
class Problem:
    """Executions of one subject, at one or more fractions, that ended in the same way. `reason` is one line."""

    subject: str
    outcome: Outcome
    reason: str
    fractions: tuple[float, ...]
    times: int


def problems(records: Iterable[RunRecord]) -> list[Problem]:
    """Executions without a result, unless a later one of the same case has one."""
    found: dict[tuple[str, Outcome, str], list[float]] = defaultdict(list)
    for record in metrics.latest(records):
        if record.outcome != "ok":
            reason = (record.error.message if record.error else "").partition("\n")[0]
            found[record.case.subject, record.outcome, reason].append(record.case.fraction)
    return [
        Problem(*what, fractions=tuple(sorted(set(fractions))), times=len(fractions))
        for what, fractions in found.items()
    ]


def failed(records: list[RunRecord], added: int) -> bool:
    """True if an execution has no good record, or one of the last `added` records is broken."""
    fine = ("ok", "unsupported")
    new = records[len(records) - added :]
    return any(record.outcome not in fine for record in metrics.latest(records)) or any(
        record.outcome not in fine and record.is_warmup for record in new
    )
