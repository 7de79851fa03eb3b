"""Says how much faster an engine is with more cores: strong scaling with the same rows, weak scaling with more rows.

Strong scaling is Amdahl's view of efficiency, and weak scaling is Gustafson's (Reevaluating Amdahl's law, Commun. ACM
31, 1988). A speed-up alone hides a slow start, so each speed-up has its seconds beside it (Hoefler and Belli:
Scientific benchmarking of parallel computing systems, SC 2015, rule 1).
"""

from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.statistics import FEWEST_ROUNDS, Array, Interval, Spread, rounds_interval

SAME_ROWS_PER_CORE = 0.05
"""In weak scaling, rows per core may differ by this share from the rows per core of the smallest configuration."""


@dataclass(frozen=True)
class Scaled:
    """The time of an engine on a number of cores, and its speed-up and efficiency relative to the fewest cores.

    Each ratio is computed within a round. The intervals hold the centre of the ratios with the confidence level
    `statistics.LEVEL`. They are None with fewer than FEWEST_ROUNDS rounds. In weak scaling, the speed-up is scaled:
    it says how many times as much work is done in the same time.
    """

    cores: float
    seconds: Spread
    speed_up: Spread
    speed_up_interval: Interval | None
    efficiency: Spread
    efficiency_interval: Interval | None


def strong_scaling(cores: Array, seconds: Array) -> list[Scaled]:
    """Returns the speed-up on the same rows for each number of cores.

    `cores` has shape (configurations,) and ascends; `seconds` has shape (rounds, configurations). Raises ValueError
    if the shapes do not agree, if `cores` does not ascend, or if a time is not finite and positive.
    """
    check_cores(cores, seconds)
    return _scaled(cores, seconds, seconds[:, :1] / seconds / (cores / cores[0]))


def weak_scaling(cores: Array, rows: Array, seconds: Array) -> list[Scaled] | None:
    """Returns the scaled speed-up for each number of cores. Each configuration has the same rows per core.

    Rows per core may differ by SAME_ROWS_PER_CORE. Other configurations are left out. Returns None if fewer than two
    remain. Arguments and errors are those of `strong_scaling`; `rows` has shape (configurations,).
    """
    check_cores(cores, seconds)
    if rows.shape != cores.shape:
        raise ValueError(
            f"There are {rows.size} numbers of rows for {cores.size} numbers of cores. Give one for each."
        )
    counts = np.abs(rows / cores / (rows[0] / cores[0]) - 1) <= SAME_ROWS_PER_CORE
    if counts.sum() < 2:
        return None
    kept = seconds[:, counts]
    return _scaled(cores[counts], kept, kept[:, :1] / kept)


def _scaled(cores: Array, seconds: Array, efficiency: Array) -> list[Scaled]:
    """Returns the result of each number of cores. `seconds` and `efficiency` have shape (rounds, configurations)."""
    results = []
    for number, times, shares in zip(cores, seconds.T, efficiency.T, strict=True):
        speed_up, speed_up_interval = _spread(shares * number / cores[0])
        results.append(Scaled(float(number), _spread(times)[0], speed_up, speed_up_interval, *_spread(shares)))
    return results


def _spread(values: Array) -> tuple[Spread, Interval | None]:
    """Returns median and range of the positive values of all rounds, and the interval of their centre."""
    samples = values.tolist()
    spread = Spread.of(samples)
    assert spread is not None  # check_cores refuses measurements without rounds
    return spread, rounds_interval(samples) if len(samples) >= FEWEST_ROUNDS else None


def check_cores(cores: Array, seconds: Array) -> None:
    """Raises ValueError if `cores` does not ascend, if the shapes do not agree, or if a time cannot be used."""
    if cores.ndim != 1 or seconds.ndim != 2 or seconds.shape[1] != cores.size or not seconds.size:
        raise ValueError(
            f"The times have shape {seconds.shape}, but there are {cores.size} numbers of cores. Give one line of "
            "times for each round, with one time for each number of cores."
        )
    if cores[0] <= 0 or (np.diff(cores) <= 0).any():
        raise ValueError(
            f"The numbers of cores do not ascend: {', '.join(f'{number:g}' for number in cores)}. Give each number "
            "once, from the smallest to the largest."
        )
    check_seconds(seconds)


def check_seconds(seconds: Array) -> None:
    """Raises ValueError if a time is not finite and positive."""
    if not (np.isfinite(seconds) & (seconds > 0)).all():
        raise ValueError(
            "A time is not a positive, finite number of seconds. Leave out configurations with an execution that has "
            "no time, such as a timeout."
        )
