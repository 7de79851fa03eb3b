"""The simulation of `decide`: few answers are wrong, and they need a part of the full grid's time.

The worlds and replays are those of `sparkscale evidence decide`.
"""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import Piece, Standing
from sparkscale.evidence import decide
from sparkscale.evidence.decide import MOST_SHARE, MOST_WRONG
from sparkscale.evidence.recorded_grids import Redrawn, recorded_grids
from sparkscale.evidence.replays import Handed, Truth, replay
from sparkscale.evidence.worlds import KINDS, SUBJECT, Synthetic, world
from tests.conftest import Call

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"
CROSSOVERS = [RECORDS / "crossover-forest.parquet", RECORDS / "crossover-boosting.parquet"]


def most(replays: int, rate: float = MOST_WRONG) -> float:
    """Returns the largest number of wrong replays that this true rate lets expect, three standard errors above it."""
    return replays * rate + 3 * float(np.sqrt(replays * rate * (1 - rate)))


def standing(question: str, verdict: str, choice: str) -> Standing:
    return Standing(question, verdict, choice, "", "", ())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "verdict", "choice", "is_wrong"),
    [
        ("engine", "yes", "xgboost", False),
        ("engine", "yes", "sklearn", True),
        ("engine", "not resolved", "sklearn", False),
        ("sample", "yes", "1/2 for xgboost", False),
        ("sample", "yes", "1/4 for xgboost", True),
        ("sample", "yes", "1/8 for xgboost", False),  # the truth is not known
        ("sample", "no", "all rows for xgboost", True),
        ("cluster", "no", "no", True),
        ("cluster", "yes", "mllib from 290000 rows", False),
        ("cluster", "yes", "mllib from 290000 rows; other from 10 rows", True),
        ("workers", "yes", "mllib on two; none beats one node", False),
        ("workers", "yes", "mllib on one; none beats one node", True),
    ],
)
def test_a_wrong_answer_is_the_opposite_of_the_truth(
    question: str, verdict: str, choice: str, is_wrong: bool
) -> None:
    enough = {("xgboost", 1 / 2): True, ("xgboost", 1 / 4): False, ("xgboost", 1 / 8): None}
    pays = {"mllib": True, "other": False}
    truth = Truth(frozenset({"xgboost"}), enough, pays, "mllib on two; none beats one node")
    assert truth.is_wrong(standing(question, verdict, choice)) == is_wrong


def test_engines_with_equal_times_have_no_fastest() -> None:
    tie = world("tie", 3)
    first, second = tie.engines[:2]
    assert first.seconds(1.0) == second.seconds(1.0)
    assert "node0" not in (tie.truths[SUBJECT].fastest or ())


def test_a_slow_starter_is_the_slowest_with_few_rows_and_the_fastest_with_all() -> None:
    engines = [engine for engine in world("slow starter", 1).engines if engine.placement == "node"]
    assert max(engines, key=lambda one: one.seconds(1 / 64)).name == "node0"
    assert min(engines, key=lambda one: one.seconds(1.0)).name == "node0"


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_give_equal_worlds(kind: str) -> None:
    assert world(kind, 5).engines == world(kind, 5).engines != world(kind, 6).engines


def test_a_worker_that_waits_costs_no_second_start() -> None:
    one = world("plain", 0)
    cells = [cell for cell in one.grid if cell.engine == "node0"][:2]
    costs = Costs(one.grid)
    handed = Handed(one, costs)
    handed.take([Piece(cells[0], 1)])
    before = handed.spent
    handed.take([Piece(cells[1], 1)])
    assert handed.spent - before == pytest.approx(handed.measured[cells[1].key][1].total)
    handed.take([Piece(cells[0], 2)])
    total = sum(piece.total for by_round in handed.measured.values() for piece in by_round.values())
    assert handed.spent > total + 1.6  # two starts of about a second


def test_a_world_that_hides_its_difference_is_not_resolved() -> None:
    tie = world("tie", 1)
    ended = replay(tie, ["engine"])
    assert ended.resolved("engine") == [False]
    assert not ended.wrong


def test_a_false_policy_would_be_caught() -> None:
    """A world whose truth is turned round counts each resolved answer as wrong."""

    class Turned(Synthetic):
        @property
        def truths(self) -> dict[str, Truth]:
            return {SUBJECT: Truth(frozenset({"nobody"}), {}, {})}

    plain = world("plain", 1)
    turned = Turned(plain.name, plain.seed, plain.engines, plain.rows, plain.rounds, plain.units)
    ended = replay(turned, ["engine"])
    assert [one.question for one in ended.wrong] == ["engine"]


def test_few_answers_are_wrong_in_a_third_of_the_time() -> None:
    *kinds, every = decide.synthetic(24, 1, lambda _: None)
    assert [one.name for one in kinds] == list(KINDS)
    assert every.replays == 24
    assert every.any_wrong <= most(24)
    assert every.mean_share <= MOST_SHARE
    assert (every.resolved["sample"] or 0) > 0.6
    assert (every.resolved["engine"] or 0) > 0.5
    assert (every.resolved["cluster"] or 0) > 0.25


@pytest.mark.slow  # some minutes
def test_few_answers_are_wrong_in_many_worlds() -> None:
    *kinds, every = decide.synthetic(252, 2, lambda _: None)
    assert every.any_wrong <= most(252)
    for kind in kinds:
        assert kind.any_wrong <= most(kind.replays), kind.name


def test_replays_of_recorded_grids_agree_with_the_full_grid() -> None:
    forest, boosting, every = decide.recorded(CROSSOVERS, 40, 1, lambda _: None)
    assert (every.any_wrong, every.guessed_wrong) == (0, 0)
    assert forest.mean_share < MOST_SHARE
    assert forest.resolved == {"sample": 1.0, "engine": 1.0, "cluster": 1.0, "workers": None}
    assert boosting.resolved["cluster"] == 1.0


def test_a_replay_draws_the_recorded_rounds_in_random_order() -> None:
    (grid,) = recorded_grids(CROSSOVERS[:1])
    cell = grid.grid[0]
    orders = {tuple(Redrawn(grid, seed).measure(Piece(cell, n)).seconds for n in range(1, 6)) for seed in range(9)}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_the_command_prints_both_tables(sparkscale: Call) -> None:
    options = ("--worlds", "12", "--replays", "2", "--processes", "1")
    done = sparkscale("evidence", "decide", str(CROSSOVERS[0]), *options)
    assert done.returncode == 0, done.stderr
    assert "Synthetic worlds, in which the truth is known" in done.stdout
    assert "Recorded grids, compared with the full grid's answers" in done.stdout
    assert "slow starter" in done.stdout


def test_nothing_to_simulate_is_refused(sparkscale: Call) -> None:
    done = sparkscale("evidence", "decide", "--worlds", "0")
    assert done.returncode == 2
    assert "Nothing to simulate: name records of a full grid, or give --worlds." in done.stderr
