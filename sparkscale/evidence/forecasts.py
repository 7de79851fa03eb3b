"""Simulates engines with known times. Counts how often the answers about unmeasured sizes and cores are right.

One question is from how many rows an engine is faster than a rival (`crossover`). The other question is from how many
cores an engine beats one thread (`scaling`). Each execution has log-normal noise of its own. Each round has an effect
that both sides share.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from sparkscale.analysis.questions.crossover import Times, crossover
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.questions.scaling import Scaling, cost
from sparkscale.analysis.statistics import Array, Interval
from sparkscale.contract.case import digest
from sparkscale.evidence.parallel import in_parallel

Verdict = Literal["yes", "no", "not resolved"]
"""Says whether the engine becomes faster within FARTHEST times the largest measured size or number of cores."""

ROWS = 10_000.0 * 2 ** np.arange(6)
CORES = 2.0 ** np.arange(5)
ROUND_EFFECT = 0.15
"""The standard deviation of the logarithm of a round's effect on all times of the round."""
NOISES = ((5, 0.10), (8, 0.05))
"""Pairs of a number of rounds and the standard deviation of the logarithm of one execution's time."""
POINTS = 100_000
"""The number of sizes, evenly spread on a logarithmic scale, among which the true value is looked up."""

LEAST, MOST = 0.85, 0.95
"""A 90 % interval should contain a finite true value in a share of simulations between these limits."""
FALSE = 0.05
"""At most this share of verdicts should be false, even if the best time differs from the rival's by only 10 %."""


class Scenario(Protocol):
    """A question about an engine with known times, which is measured in `rounds` rounds."""

    @property
    def question(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def rounds(self) -> int: ...

    @property
    def noise(self) -> float: ...

    def true_value(self) -> float:
        """Returns the true size, or number of cores, from which the engine is faster.

        Infinite if it is beyond FARTHEST times the largest measured one.
        """
        ...

    def answer(self, generator: np.random.Generator) -> tuple[Interval, Verdict]:
        """Returns the interval and the verdict of one simulated measurement."""
        ...


@dataclass(frozen=True)
class RowsScenario:
    """The number of rows from which an engine is faster than a rival.

    `engine` and `rival` hold the coefficients of 1, n and n·log n, in seconds. The rival's times grow faster.
    """

    question: ClassVar[str] = "rows"

    name: str
    engine: tuple[float, float, float]
    rival: tuple[float, float, float]
    rounds: int
    noise: float

    def true_value(self) -> float:
        rows = np.geomspace(ROWS[0], FARTHEST * ROWS[-1], POINTS)
        return _first(rows, _of_rows(self.engine, rows) < _of_rows(self.rival, rows))

    def answer(self, generator: np.random.Generator) -> tuple[Interval, Verdict]:
        noise = _noise(self, 2 * len(ROWS), generator)
        own, other = np.split(np.concatenate([_of_rows(self.engine, ROWS), _of_rows(self.rival, ROWS)]) * noise, 2, 1)
        answer = crossover(Times(ROWS, own), Times(ROWS, other))
        assert answer is not None
        assert answer.interval is not None
        if np.isinf(answer.rows):
            return answer.interval, "no" if np.isinf(answer.interval.low) else "not resolved"
        return answer.interval, "yes" if np.isfinite(answer.interval.high) else "not resolved"


@dataclass(frozen=True)
class CoresScenario:
    """The number of cores from which an engine is faster than a library on one thread.

    `contention` and `coherency` are σ and κ of the universal scalability law. `single` is the library's time in
    seconds.
    """

    question: ClassVar[str] = "cores"

    name: str
    contention: float
    coherency: float
    single: float
    rounds: int
    noise: float

    def true_value(self) -> float:
        cores = np.geomspace(CORES[0], FARTHEST * CORES[-1], POINTS)
        return _first(cores, _of_cores(cores, self.contention, self.coherency) < self.single)

    def answer(self, generator: np.random.Generator) -> tuple[Interval, Verdict]:
        times = np.append(_of_cores(CORES, self.contention, self.coherency), self.single)
        seconds = times * _noise(self, len(times), generator)
        answer = cost(Scaling(CORES, seconds[:, :-1], seconds[:, -1]))
        assert answer.interval is not None
        verdicts: dict[str, Verdict] = {"measured": "yes", "forecast": "yes", "beyond": "no", "unbounded": "no"}
        return answer.interval, verdicts.get(answer.kind, "not resolved")


@dataclass(frozen=True)
class Judged:
    """The results of `repeats` simulations of a scenario, as shares of the simulations."""

    scenario: Scenario
    repeats: int
    covered: float
    """The share of intervals that contain the true value."""
    resolved: float
    false: float
    """The share of wrong verdicts: "yes" although the true value is infinite, or "no" although it is finite."""

    @property
    def is_covered_wrongly(self) -> bool:
        """True if fewer intervals than LEAST contain the true value, or more than MOST contain a finite one.

        Every interval without an upper limit contains an infinite true value. So a share above MOST is no fault then.
        """
        return self.covered < LEAST or (self.covered > MOST and np.isfinite(self.scenario.true_value()).item())


def scenarios() -> list[Scenario]:
    """Returns all scenarios.

    "10 % too slow" and "10 % faster" compare the engine's best possible time with the rival's. For rows, they compare
    the times at FARTHEST times the largest size.
    """
    farthest = FARTHEST * ROWS[-1]
    rival = (0.5, 4e-5, 0.0)
    at_farthest = rival[0] + rival[1] * farthest
    by_rows: list[tuple[str, tuple[float, float, float], tuple[float, float, float]]] = [
        ("within the measured sizes", (5.0, 1e-5, 0.0), rival),
        ("beyond the measured sizes", (20.0, 1e-5, 0.0), (0.5, 3e-5, 0.0)),
        ("n·log n, within the measured sizes", (5.0, 1e-5, 0.0), (0.5, 0.0, 3e-6)),
        ("10 % faster at ten times the sizes", (60.0, (at_farthest / 1.1 - 60) / farthest, 0.0), rival),
        ("10 % too slow at ten times the sizes", (60.0, (at_farthest * 1.1 - 60) / farthest, 0.0), rival),
    ]
    limit = 100 * 0.1  # the time with infinitely many cores and σ = 0.1
    coherent = float(_of_cores(np.sqrt(0.98 / 0.004), 0.02, 0.004))  # the minimum is at √((1 − σ)/κ) cores
    by_cores = [
        ("mostly parallel, 6 cores", 0.02, 0.0, float(_of_cores(6, 0.02, 0.0))),
        ("mostly parallel, 40 cores", 0.005, 0.0, float(_of_cores(40, 0.005, 0.0))),
        ("contention, 5 cores", 0.3, 0.0, float(_of_cores(5, 0.3, 0.0))),
        ("contention, 32 cores", 0.2, 0.0, float(_of_cores(32, 0.2, 0.0))),
        ("coherency, 6 cores", 0.02, 0.004, float(_of_cores(6, 0.02, 0.004))),
        ("coherency, 25 cores", 0.02, 0.0005, float(_of_cores(25, 0.02, 0.0005))),
        ("contention, 10 % faster", 0.1, 0.0, 1.1 * limit),
        ("coherency, 10 % faster", 0.02, 0.004, 1.1 * coherent),
        ("contention, 10 % too slow", 0.1, 0.0, limit / 1.1),
        ("coherency, 10 % too slow", 0.02, 0.004, coherent / 1.1),
    ]
    return [
        *(RowsScenario(*one, rounds, noise) for one in by_rows for rounds, noise in NOISES),
        *(CoresScenario(*one, rounds, noise) for one in by_cores for rounds, noise in NOISES),
    ]


def judged(
    to_simulate: Sequence[Scenario], repeats: int, processes: int, progress: Callable[[str], None]
) -> list[Judged]:
    """Simulates each scenario `repeats` times, in `processes` parallel processes. Returns one result per scenario."""
    return in_parallel(partial(simulated, repeats=repeats), to_simulate, processes, progress)


def simulated(scenario: Scenario, repeats: int) -> Judged:
    """Returns the outcome of `repeats` simulations of a scenario. The seed follows from the scenario alone."""
    generator = np.random.default_rng(int(digest(repr(scenario)), 16))
    true_value = scenario.true_value()
    wrong = "yes" if np.isinf(true_value) else "no"
    with threadpool_limits(1):  # the matrices are small, and more threads would only wait for each other
        answers = [scenario.answer(generator) for _ in range(repeats)]
    return Judged(
        scenario,
        repeats,
        covered=float(np.mean([interval.low <= true_value <= interval.high for interval, _ in answers])),
        resolved=float(np.mean([verdict != "not resolved" for _, verdict in answers])),
        false=float(np.mean([verdict == wrong for _, verdict in answers])),
    )


def _of_cores(cores: Array | float, contention: float, coherency: float) -> Array:
    """Returns the seconds of an engine that takes 100 seconds on one core. The result has the shape of `cores`."""
    number = np.asarray(cores)
    result: Array = 100 * (1 + contention * (number - 1) + coherency * number * (number - 1)) / number
    return result


def _of_rows(coefficients: tuple[float, float, float], rows: Array) -> Array:
    start, per_row, per_log = coefficients
    result: Array = start + per_row * rows + per_log * rows * np.log(rows)
    return result


def _first(values: Array, is_faster: Array) -> float:
    return float(values[is_faster.argmax()]) if is_faster.any() else np.inf


def _noise(scenario: Scenario, executions: int, generator: np.random.Generator) -> Array:
    """Returns the factors by which noise changes the times, of shape (rounds, executions)."""
    shared = ROUND_EFFECT * generator.standard_normal((scenario.rounds, 1))
    result: Array = np.exp(shared + scenario.noise * generator.standard_normal((scenario.rounds, executions)))
    return result
