"""The charts of scaling: time to model and speed-up against cores, for the same rows on all of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Chart, Dot, Failed, Series
from sparkscale.analysis.patterns.data_parallel.cell import Cell
from sparkscale.analysis.patterns.drawing import Point, dot, series, without_result
from sparkscale.analysis.questions.speed_up import Scaled
from sparkscale.analysis.statistics import Array, Spread


@dataclass(frozen=True)
class Configuration:
    """An engine on one cluster: its executions on one fraction, with a number of cores."""

    cell: Cell
    cores: int

    @property
    def median(self) -> float:
        assert self.cell.seconds is not None
        return self.cell.seconds.median


@dataclass(frozen=True)
class Row:
    """A row of a table of scaling."""

    engine: str
    configuration: Configuration
    scaled: Scaled


def charts(by_engine: Mapping[str, Sequence[Row]], without_time: Iterable[tuple[str, int, Cell]]) -> Iterator[Chart]:
    """Yields a chart of seconds and one of speed-up. Yields nothing if no engine has rows.

    `by_engine` holds the rows of each engine, ascending in cores. `without_time` holds the engine, the cores and the
    executions of configurations that have no time in some round.
    """
    if not by_engine:
        return
    seconds: list[Series] = []
    speed_ups: list[Series] = []
    times: list[Dot] = []
    ratios: list[Dot] = []
    for name, rows in by_engine.items():
        seconds += _series(name, rows, lambda scaled: scaled.seconds)
        speed_ups += _series(name, rows, lambda scaled: scaled.speed_up)
        fewest = rows[0].configuration.cell.seconds_by_round()
        shared = set.intersection(*(set(row.configuration.cell.seconds_by_round()) for row in rows))
        for row in rows:
            cores = float(row.configuration.cores)
            for record in metrics.timed(row.configuration.cell.records):
                if record.round in shared:
                    time = metrics.time_to_model(record)
                    times.append(dot(name, cores, time, record))
                    ratios.append(dot(name, cores, fewest[record.round] / time, record))
    failed = [mark for name, cores, cell in without_time for mark in without_result(name, float(cores), cell.records)]
    yield _chart("Time to model against cores", "time to model, s: median and range", seconds, times, failed)
    cores_of = [x for one in seconds for x in one.x]
    fewest_cores, most_cores = min(cores_of), max(cores_of)
    ideal = Series("ideal", (fewest_cores, most_cores), (1.0, most_cores / fewest_cores))
    y = "speed-up over the fewest cores: median and range"
    note = "The dashed line is a speed-up by as much as there are more cores."
    yield _chart("Speed-up against cores", y, speed_ups, ratios, failed, (ideal,), note)


def _chart(
    title: str,
    y: str,
    lines: Sequence[Series],
    dots: Sequence[Dot],
    failed: Sequence[Failed],
    fits: tuple[Series, ...] = (),
    note: str = "",
) -> Chart:
    return Chart(
        title,
        "cores",
        y,
        tuple(lines),
        is_log_x=True,
        is_log_y=True,
        dots=tuple(dots),
        failed=tuple(failed),
        fits=fits,
        note=f"Only rounds that all numbers of cores have are drawn. {note}".strip(),
    )


def _series(engine: str, rows: Sequence[Row], of: Callable[[Scaled], Spread]) -> tuple[Series, ...]:
    return series(engine, [Point.of(float(row.configuration.cores), of(row.scaled)) for row in rows])


def paired(cells: Sequence[Cell]) -> Array:
    """Returns the seconds of the rounds that all cells have, of shape (rounds, cells)."""
    times = [cell.seconds_by_round() for cell in cells]
    rounds = sorted(set.intersection(*map(set, times))) if times else []
    return np.array([[of[number] for of in times] for number in rounds])
