"""Estimates how long further measurements take, from the records of earlier ones."""

from collections.abc import Iterable, Sequence

from sparkscale.contract.record import RunRecord


def seconds_per_round(records: Iterable[RunRecord]) -> float:
    """Returns the seconds that one round of these executions took, on average: phases, and starts of workers.

    `records` should hold warm-ups, too, because a further round needs them again. Isolated executions are left
    out. Returns 0 if there are no records.
    """
    shared = [record for record in records if not record.isolated]
    rounds = {(record.invocation, record.round) for record in shared}
    total = sum(sum(record.seconds.values()) + _start(record) for record in shared)
    return total / len(rounds) if rounds else 0.0


def _start(record: RunRecord) -> float:
    """Returns the seconds that the start of the worker took, if this was its first execution."""
    return record.start_seconds or 0.0 if record.position == 0 else 0.0


def further(records: Sequence[RunRecord], rounds: int) -> str:
    """Returns how long this number of further rounds takes, such as "about 4 min". Empty if it is not known."""
    seconds = rounds * seconds_per_round(records)
    return f"about {amount(seconds)}" if seconds else ""


def amount(seconds: float) -> str:
    """Returns a duration with its unit, rounded for a plan: "30 s", "4 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
