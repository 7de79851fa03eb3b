"""Tests by simulation how a gate decides before all its rounds are measured (`looks`).

The noise is that of real executions (`noise`). How often is there a false verdict, how often is a slow-down found,
and how many rounds are saved? Beside it stands the naive rule, which tests after every round at the full level.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sparkscale.analysis.questions.looks import looks, until
from sparkscale.analysis.questions.two_sides import ALPHA, THRESHOLD
from sparkscale.analysis.statistics import SEED, Array
from sparkscale.evidence.many_sides import BETTER, OPEN, SAME, WORSE, chunks, holm, measured, verdicts
from sparkscale.evidence.noise import Noise

Rule = Literal["one look", "looks", "looks, ends early", "looks, ends by time", "naive"]
"""How a gate decides.

- `one look`: after all rounds.
- `looks`: after the rounds that `looks` plans.
- `looks, ends early`: in addition, the gate ends after a round that chance chooses. The last look has what is left.
- `looks, ends by time`: in addition, the gate ends when its executions together took too long. So the end depends on
  the measured times, as with a time limit.
- `naive`: after every round from NAIVE_FROM on, each time at the full level.
"""
RULES: tuple[Rule, ...] = get_args(Rule)
NAIVE_FROM = 3
ROUNDS = (8, 12)
COMPARED = (1, 12, 60)
"""The numbers of comparisons that are judged together."""
FACTORS = (1.10, 1.15, 1.30)
SLOWER = 12
"""The number of comparisons when a slow-down is planted in one of them."""
THRESHOLDS = (THRESHOLD, 0.0)
"""Without a threshold there are more false verdicts, because equal sides are at its edge."""
EDGES = (1.0499, 1.0501, 1 / 1.0501, 1.10)
"""True ratios that are just within the threshold, just beyond it, and farther beyond."""
LEAST_SHARE = 0.5
"""A gate that ends early has measured at least this share of its rounds."""


@dataclass(frozen=True)
class Gates:
    """The verdicts of many simulated gates. Each has `compared` comparisons, and plans `rounds` rounds.

    `verdicts` and `ended` have the shape (gates, compared): the final verdict, and the rounds that were measured.
    """

    rounds: int
    compared: int
    rule: Rule
    verdicts: Array
    ended: Array

    @property
    def false(self) -> float:
        """The share of gates that call some comparison worse or better."""
        return float(((self.verdicts == WORSE) | (self.verdicts == BETTER)).any(axis=1).mean())

    def share(self, verdict: int, position: int | slice = slice(None)) -> float:
        """Returns the share of comparisons with this verdict, of all or of those at a position."""
        return float((self.verdicts[:, position] == verdict).mean())

    @property
    def saved(self) -> float:
        """The mean share of rounds that need not be measured."""
        return float(1 - self.ended.mean() / self.rounds)


def simulated(
    noise: Noise,
    rounds: int,
    factors: tuple[float, ...],
    rule: Rule,
    gates: int,
    threshold: float = THRESHOLD,
) -> Gates:
    """Returns the verdicts of simulated gates. `factors` are the true ratios of their comparisons."""
    compared = len(factors)
    seed = [SEED, rounds, compared, *(round(10_000 * factor) for factor in sorted(set(factors)))]
    generator = np.random.default_rng(seed)  # the same draws for each rule
    parts = []
    for part in chunks(gates, compared, rounds**2):
        logs = noise.drawn(generator, part, compared, rounds)
        logs[:, :, 1] += np.log(factors)[:, None]
        parts.append(_decided(logs, _levels(logs, rule), threshold))
    final, ended = (np.concatenate(list(both)) for both in zip(*parts, strict=True))
    return Gates(rounds, compared, rule, final, ended)


def _levels(logs: Array, rule: Rule) -> list[Mapping[int, float]]:
    """Returns the level of each look, by the number of rounds before it, for each gate."""
    gates, compared, _, rounds = logs.shape
    planned = looks(rounds, compared=compared)
    if rule == "one look":
        return [{rounds: ALPHA}] * gates
    if rule == "naive":
        return [dict.fromkeys(range(NAIVE_FROM, rounds + 1), ALPHA)] * gates
    if rule == "looks":
        return [planned] * gates
    ends = _ends_by_time(logs) if rule == "looks, ends by time" else _ends_by_chance(gates, rounds)
    by_end = {end: until(planned, end, is_last=True) for end in range(1, rounds + 1)}
    return [by_end[end] for end in ends.tolist()]


def _ends_by_chance(gates: int, rounds: int) -> Array:
    result: Array = np.random.default_rng([SEED, gates, rounds]).integers(
        round(LEAST_SHARE * rounds), rounds + 1, size=gates
    )
    return result


def _ends_by_time(logs: Array) -> Array:
    """Returns after how many rounds each gate exceeds its time: the median over gates of 3/4 of all their rounds."""
    taken = np.exp(logs).sum(axis=(1, 2)).cumsum(axis=-1)
    rounds = logs.shape[-1]
    limit = np.median(taken[:, round(0.75 * rounds) - 1])
    result: Array = np.clip((taken <= limit).sum(axis=-1), round(LEAST_SHARE * rounds), rounds)
    return result


def _decided(logs: Array, levels: list[Mapping[int, float]], threshold: float) -> tuple[Array, Array]:
    """Returns the final verdicts, and after how many rounds each was reached, of shape (gates, compared)."""
    shape = logs.shape[:2]
    final: Array = np.full(shape, OPEN, dtype=np.int8)
    ended: Array = np.broadcast_to(np.array([max(planned) for planned in levels])[:, None], shape).copy()
    for after in range(1, logs.shape[-1] + 1):
        of_gates = np.array([planned.get(after, 0.0) for planned in levels])
        for level in np.unique(of_gates[of_gates > 0]):
            looking = np.flatnonzero(of_gates == level)
            before = final[looking]
            result = measured(logs[looking, :, :, :after], float(level))
            result.p[before == SAME] = 1
            result.p[(before == WORSE) | (before == BETTER)] = 0
            now = verdicts(result, holm(result.p), threshold, float(level))
            is_new = (before == OPEN) & (now != OPEN)
            final[looking] = np.where(is_new, now, before)
            ended[looking] = np.where(is_new, after, ended[looking])
    return final, ended


@dataclass(frozen=True)
class Results:
    """All simulated gates: of equal sides, of sides at the edge of the threshold, and of one slower case."""

    gates: int
    equal: list[tuple[float, Gates]]
    """With the threshold of each."""
    edge: list[tuple[float, Gates]]
    """With the true ratio of each. They have one comparison."""
    slower: list[tuple[float, Gates]]
    """With the planted factor of each. It is at the first position."""


def false_at_edge(ratio: float, gates: Gates) -> float:
    """Returns the share of false verdicts if all comparisons have this true ratio.

    "same" is false if the ratio is beyond the threshold. "worse" and "better" are false if it is within.
    """
    if 1 / (1 + THRESHOLD) <= ratio <= 1 + THRESHOLD:
        return gates.false
    return gates.share(SAME)


def results(noise: Noise, gates: int, report: Callable[[str], None] = lambda _: None) -> Results:
    """Simulates this number of gates for each row of the tables, and ten times as many of one comparison."""
    equal, edge, slower = [], [], []
    for rounds in ROUNDS:
        for rule in RULES:
            report(f"{rounds} rounds: {rule}")
            for threshold in THRESHOLDS:
                for compared in COMPARED:
                    equal.append((threshold, simulated(noise, rounds, (1.0,) * compared, rule, gates, threshold)))
            for ratio in EDGES:
                edge.append((ratio, simulated(noise, rounds, (ratio,), rule, 10 * gates)))
            for factor in FACTORS:
                factors = (factor,) + (1.0,) * (SLOWER - 1)
                slower.append((factor, simulated(noise, rounds, factors, rule, gates)))
    return Results(gates, equal, edge, slower)
