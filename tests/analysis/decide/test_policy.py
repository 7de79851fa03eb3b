"""The policy as a whole: wrong requests, the time limit, notes, and where it stops."""

from dataclasses import replace

import pytest

from sparkscale.analysis import metrics
from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.grid import GridCell
from sparkscale.analysis.questions.decide.policy import Policy
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import TIME_OVER, ErrorInfo, Outcome, RunRecord
from sparkscale.store.store import Store
from tests.analysis.decide.measuring import Loop, cell
from tests.builders import Writer, case

SECONDS = {"sklearn": lambda f: 1 + 90 * f, "xgboost": lambda f: 1 + 60 * f, "mllib": lambda f: 9 + 200 * f}
EVERY = ("sample", "engine", "cluster")


def test_an_unknown_question_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="Unknown question 'size': choose from sample, engine, cluster, workers, all"
    ):
        Policy([cell("xgboost", 1.0)], ["size"])


def test_another_pattern_is_refused() -> None:
    other = replace(cell("xgboost", 1.0), workload="inference.gradient_boosting")
    with pytest.raises(ConfigError, match="questions about data_parallel workloads, not about inference"):
        Policy([other], ["engine"])


def nothing() -> list[GridCell]:
    return [replace(cell("xgboost", 1.0), isolated=True)]


@pytest.mark.parametrize(
    ("grid", "questions"), [([], ["engine"]), (nothing(), ["engine"]), ([cell("xgboost", 1)], [])]
)
def test_nothing_to_ask_is_refused(grid: list[GridCell], questions: list[str]) -> None:
    with pytest.raises(ConfigError, match="The grid has no case that answers a question"):
        Policy(grid, questions)


def test_cells_that_answer_no_question_are_named() -> None:
    grid = [
        cell("xgboost", 1.0),
        replace(cell("xgboost", 0.5), isolated=True),
        replace(cell("sklearn", 1.0), cores=1),
        replace(cell("sklearn", 0.5), parameter_set="defaults"),
    ]
    assert Policy(grid, ["engine"]).notes == [
        "1 isolated case left out, because it shows memory and first runs.",
        "1 case left out, because it has fewer threads than its profile grants.",
        "1 case left out, because it has the libraries' own defaults.",
    ]


def test_no_step_may_last_longer_than_the_time_that_is_left(store: Store) -> None:
    loop = Loop(store, SECONDS, EVERY)
    left = 400.0
    while (step := loop.next(left)) is not None:
        assert step.seconds <= step.at_most_seconds <= left
        loop.measure(step)
        left -= step.seconds
    assert loop.policy.why_stopped == "no step that helps is sure to end in the time that is left"
    assert any(not standing.is_resolved for standing in loop.standings())


def test_more_time_measures_more(store: Store) -> None:
    loop = Loop(store, SECONDS, EVERY)
    assert loop.next(3.0) is None
    step = loop.next(60.0)
    assert step is not None
    assert {piece.cell.placement for piece in step.pieces} == {"node"}


def test_every_question_is_resolved_in_a_part_of_the_grid(store: Store) -> None:
    loop = Loop(
        store,
        {"sklearn": lambda f: 0.2 + 90 * f, "xgboost": lambda f: 0.1 + 6 * f, "mllib": lambda f: 9 + 200 * f},
        EVERY,
        noise={"sklearn": lambda _: 0.2, "xgboost": lambda _: 0.2, "mllib": lambda _: 0.2},
        fractions=(1 / 64, 1 / 16, 1 / 4, 1.0),
    )
    standings = loop.run()
    assert {question: one.choice for question, one in standings.items()} == {
        "sample": "1/64 for xgboost",
        "engine": "xgboost",
        "cluster": "no",
    }
    pieces = sum(len(step.pieces) for step in loop.steps)
    assert pieces < len(loop.grid) * loop.rounds / 2


def test_each_step_is_of_one_round_and_one_kind_of_worker(store: Store) -> None:
    loop = Loop(store, SECONDS, EVERY)
    loop.run(1500)
    for step in loop.steps:
        assert len({(piece.round, piece.cell.worker, piece.cell.cluster) for piece in step.pieces}) == 1
        assert step.reason
    pieces = [(piece.cell.key, piece.round) for step in loop.steps for piece in step.pieces]
    assert len(pieces) == len(set(pieces))


def test_costs_follow_what_was_measured() -> None:
    small, large = cell("mllib", 1 / 64), cell("mllib", 1.0)
    costs = Costs([small, large])
    unknown, at_most = costs.of_cell(large)
    assert at_most > 2 * unknown
    costs.took(small.key, 2.0)
    expected, at_most = costs.of_cell(large)
    assert 64 * 2.0 / 2 < expected < at_most
    costs.took(large.key, 20.0)
    assert costs.of_cell(large) == (20.0, 30.0)


def cut(_: RunRecord) -> dict[str, object]:
    """What is different in the record of a case that was stopped because the time of the command was over."""
    return {"error": ErrorInfo(type=TIME_OVER, message="No result within 12 s."), "deadline_seconds": 12.0}


@pytest.mark.parametrize(("outcome", "phase"), [("timeout", "fit"), ("failed", None)])
def test_a_case_that_the_end_of_the_time_stopped_is_measured_again(
    store: Store, outcome: Outcome, phase: str | None
) -> None:
    loop = Loop(store, {"sklearn": lambda f: 20 * f, "xgboost": lambda f: 2000 * f}, fractions=(1.0,))
    usual, loop.write.change = loop.write.change, cut
    loop.write(case("sklearn", 1.0, seed=1), 1, outcome=outcome, phase=phase)
    loop.write.change = usual
    (standing,) = loop.standings()
    assert "sklearn" not in standing.text  # no failure, and no time
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "sklearn")


def test_the_end_of_the_time_is_no_time_of_other_analyses(store: Store) -> None:
    write = Writer(store)
    for number in (1, 2, 3):
        write(case("sklearn", 1.0, seed=number), number, seconds=20.0)
    write.change = cut
    write(case("sklearn", 1.0, seed=4), 4, outcome="timeout", phase="fit")
    spread = metrics.spread_of_times(store.records())
    assert spread is not None
    assert (spread.count, spread.high) == (3, 20.0)


def test_engines_on_one_node_are_measured_on_one_profile_and_a_note_says_so() -> None:
    grid = [cell(engine, 1.0, cluster=cluster) for cluster in ("one", "two") for engine in ("xgboost", "mllib")]
    policy = Policy([*grid, replace(cell("sklearn", 1.0, cluster="one"), unsupported="no")], EVERY)
    assert [(one.engine, one.cluster) for one in policy.candidates] == [
        ("xgboost", "one"),
        ("mllib", "one"),
        ("mllib", "two"),
    ]
    assert policy.notes == [
        "1 case left out, because engines on one node are measured on the profile with the most cores only."
    ]


def test_a_size_that_may_take_too_long_gives_way_to_a_smaller_one(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda _: 0.1, "mllib": lambda f: 6 + f}, ("cluster",))
    for fraction, engines in ((1 / 64, 2), (1 / 16, 2), (1.0, 1)):
        for engine in ("xgboost", "mllib")[:engines]:
            loop.write(case(engine, fraction, seed=1), 1, seconds=loop.seconds[engine](fraction))
    free, short = loop.next(), loop.next(100.0)
    assert free is not None
    assert short is not None
    assert [(piece.cell.engine, piece.cell.fraction) for piece in free.pieces] == [("mllib", 1.0)]
    ((engine, fraction),) = [(piece.cell.engine, piece.cell.fraction) for piece in short.pieces]
    assert engine == "mllib"
    assert 1 / 16 < fraction < 1
    assert short.at_most_seconds <= 100


def test_a_short_time_suffices_for_one_size_on_spark(store: Store) -> None:
    loop = Loop(store, {"mllib": lambda f: 6 + f}, ("cluster",))
    free, short = loop.next(), loop.next(140.0)
    assert free is not None
    assert short is not None
    assert [piece.cell.fraction for piece in free.pieces] == [1 / 64, 1 / 16]
    assert [piece.cell.fraction for piece in short.pieces] == [1 / 64]
    assert short.at_most_seconds <= 140 < free.at_most_seconds
