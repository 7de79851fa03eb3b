"""Counts how often `decide` is wrong, how often it resolves a question, and which part of the full grid it needs.

In synthetic worlds the truth is known. In recorded grids, the answers of the full grid are the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.special import betaincinv

from sparkscale.analysis.questions.decide.grid import CLUSTER, ENGINE, QUESTIONS, SAMPLE
from sparkscale.evidence.parallel import in_parallel
from sparkscale.evidence.recorded_grids import RecordedGrid, Redrawn, recorded_grids
from sparkscale.evidence.replays import Ended, replay
from sparkscale.evidence.worlds import KINDS, world

MOST_WRONG = 0.05
"""At most this share of replays may have a wrong answer."""
MOST_SHARE = 1 / 3
"""The goal for the time, as a share of the full grid's."""
ORDINARY = (SAMPLE, ENGINE, CLUSTER)
"""The questions that every grid is asked. Only grids with several profiles are also asked about workers."""


@dataclass(frozen=True)
class Result:
    """How one replay ended. `guessed_wrong` counts answers that differ from the best estimate of the full grid.

    The full grid may not resolve a question. Then only its best estimate is known.
    """

    ended: Ended
    guessed_wrong: int = 0


@dataclass(frozen=True)
class Summary:
    """The results of many replays of one kind. Shares by question are None if the question was not asked."""

    name: str
    replays: int
    resolved: dict[str, float | None]
    wrong: dict[str, int]
    any_wrong: int
    guessed_wrong: int
    shares: tuple[float, ...]

    @classmethod
    def of(cls, name: str, results: Sequence[Result]) -> "Summary":
        """Returns the summary of these results."""
        resolved: dict[str, float | None] = {}
        wrong = dict.fromkeys(QUESTIONS, 0)
        for question in QUESTIONS:
            known = [one for result in results for one in result.ended.resolved(question)]
            resolved[question] = float(np.mean(known)) if known else None
        for result in results:
            for question in {standing.question for standing in result.ended.wrong}:
                wrong[question] += 1
        return cls(
            name,
            len(results),
            resolved,
            wrong,
            sum(bool(result.ended.wrong) for result in results),
            sum(result.guessed_wrong > 0 for result in results),
            tuple(result.ended.share for result in results),
        )

    @property
    def wrong_at_most(self) -> float:
        """The upper limit of the share of replays with a wrong answer, at a confidence of 95 %.

        It is that of Clopper and Pearson (Biometrika 26, 1934).
        """
        if self.any_wrong == self.replays:
            return 1.0
        return float(betaincinv(self.any_wrong + 1, self.replays - self.any_wrong, 0.95))

    @property
    def mean_share(self) -> float:
        return float(np.mean(self.shares))


def synthetic(
    worlds: int, processes: int, progress: Callable[[str], None], kinds: Sequence[str] = KINDS
) -> list[Summary]:
    """Returns a summary for each kind of synthetic worlds, and one for all. `worlds` is the number of all worlds."""
    each = max(1, -(-worlds // len(kinds)))
    scenarios = [(kind, seed) for kind in kinds for seed in range(each)]
    results = in_parallel(_in_world, scenarios, processes, progress, "worlds")
    summaries = [
        Summary.of(kind, [result for result, (of, _) in zip(results, scenarios, strict=True) if of == kind])
        for kind in kinds
    ]
    return [*summaries, Summary.of("all worlds", results)]


def _in_world(scenario: tuple[str, int]) -> Result:
    kind, seed = scenario
    return Result(replay(world(kind, seed), QUESTIONS if kind == "workers" else ORDINARY))


def recorded(paths: Sequence[Path], replays: int, processes: int, progress: Callable[[str], None]) -> list[Summary]:
    """Returns a summary for each recorded grid, and one for all. `replays` is the number of all replays.

    Raises ConfigError if a path has no records.
    """
    grids = _grids(tuple(paths))
    each = max(1, -(-replays // max(1, len(grids))))
    scenarios = [(tuple(paths), position, seed) for position in range(len(grids)) for seed in range(each)]
    results = in_parallel(_in_grid, scenarios, processes, progress, "replays")
    summaries = [
        Summary.of(grid.name, results[position * each : (position + 1) * each]) for position, grid in enumerate(grids)
    ]
    return [*summaries, Summary.of("all grids", results)]


@lru_cache(maxsize=1)
def _grids(paths: tuple[Path, ...]) -> list[RecordedGrid]:
    return recorded_grids(paths)


def _in_grid(scenario: tuple[tuple[Path, ...], int, int]) -> Result:
    paths, position, seed = scenario
    grid = _grids(paths)[position]
    ended = replay(Redrawn(grid, seed), ORDINARY)
    guessed_wrong = sum(grid.best_guess[standing.subject].is_wrong(standing) for standing in ended.standings)
    return Result(ended, guessed_wrong)
