"""Makes the parts of charts from records: series, a dot for each execution, and marks for cases without a result."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Chart, Dot, Failed, Series
from sparkscale.analysis.executions import Executions
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import SHORT, RunRecord


class Point(NamedTuple):
    """A point of a series with the ends of its range. `fraction` is its fraction as text, or empty."""

    x: float
    y: float
    low: float
    high: float
    fraction: str = ""

    @classmethod
    def of(cls, x: float, spread: Spread, fraction: str = "") -> "Point":
        """Returns a point at the median of `spread`."""
        return cls(x, spread.median, spread.low, spread.high, fraction)


def series(name: str, points: Sequence[Point], is_line: bool = True) -> tuple[Series, ...]:
    """Returns one series with these points. Empty if there are no points."""
    if not points:
        return ()
    *values, fractions = zip(*points, strict=True)
    return (Series(name, *values, fractions=fractions if any(fractions) else (), is_line=is_line),)


def dot(name: str, x: float, y: float, record: RunRecord) -> Dot:
    """Returns the dot of one execution."""
    return Dot(name, x, y, record.id[:SHORT], record.round, show_fraction(record.case.fraction), record.software)


def reasons(records: Iterable[RunRecord]) -> dict[str, str]:
    """Returns each outcome that is not ok, with the first line of the error of its first execution.

    If an execution was repeated, only its last record counts.
    """
    by_outcome: dict[str, str] = {}
    for record in metrics.latest(records):
        if record.outcome != "ok":
            why = f"{record.outcome}: {record.error.first_line}" if record.error else record.outcome
            by_outcome.setdefault(record.outcome, why)
    return by_outcome


def without_result(name: str, x: float, records: Sequence[RunRecord], edge: float | None = None) -> Iterator[Failed]:
    """Yields a mark for each outcome that is not ok. It is an edge if it is `oom`, and `x` is that of the `edge`."""
    for outcome, why in reasons(records).items():
        yield Failed(name, x, why, show_fraction(records[0].case.fraction), outcome == "oom" and x == edge)


def ranking(
    title: str, x: str, compared: Iterable[tuple[str, Executions]], value: Callable[[RunRecord], float | None]
) -> Chart:
    """Returns a chart with a row for each engine: the median, the range and each execution's value.

    `compared` holds the engines with their labels. `value` computes the value of one execution. Executions for which
    it is None are left out. An engine has no median if an execution has no time, because it would be too good.
    """
    rows: list[Series] = []
    dots: list[Dot] = []
    failed: list[Failed] = []
    for label, executions in compared:
        values = [(one, record) for record in executions.timed if (one := value(record)) is not None]
        spread = Spread.of([one for one, _ in values])
        if spread and executions.has_every_time:
            rows.append(Series(label, (spread.median,), (0.0,), (spread.low,), (spread.high,), is_line=False))
        dots += [dot(label, one, 0.0, record) for one, record in values]
        failed += [Failed(label, 0.0, why) for why in reasons(executions.records).values()]
    return Chart(title, x, "", tuple(rows), dots=tuple(dots), failed=tuple(failed), kind="ranking")
