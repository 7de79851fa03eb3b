"""Which engine on one node: who is dropped, who is not, and what stays open."""

from dataclasses import replace

import pytest

from sparkscale.analysis.questions.decide.grid import Piece, Step
from sparkscale.analysis.questions.decide.policy import Policy
from sparkscale.store.store import Store
from tests.analysis.decide.measuring import Loop
from tests.builders import Writer, case


def test_it_begins_with_the_smallest_sample_of_each_engine(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda f: 1 + 9 * f, "xgboost": lambda f: 1 + f})
    step = loop.next()
    assert step is not None
    assert {(piece.cell.engine, piece.cell.fraction, piece.round) for piece in step.pieces} == {
        ("sklearn", 1 / 64, 1),
        ("xgboost", 1 / 64, 1),
    }


def test_an_engine_that_is_beaten_beyond_doubt_is_dropped_before_all_rows(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda f: 1 + 400 * f, "xgboost": lambda f: 0.5 + 2 * f})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")
    assert ("xgboost", 1.0) in loop.measured
    assert ("sklearn", 1.0) not in loop.measured
    assert "times as fast as sklearn, judged from at most 1/" in standing.text
    assert loop.policy.why_stopped == "every question is resolved"


def test_an_engine_that_starts_slowly_but_grows_less_is_not_dropped(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda f: 0.02 + 60 * f, "xgboost": lambda f: 6 + 2 * f})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")


def test_a_tie_is_given_up_early_and_says_so(store: Store) -> None:
    wobble = {1: 1.1, 2: 0.95, 3: 1.0, 4: 0.9, 5: 1.05, 6: 1.0}
    loop = Loop(
        store,
        {"sklearn": lambda f: 0.1 + 5 * f, "xgboost": lambda f: 0.1 + 5 * f},
        wobble=lambda engine, number: wobble[number] if engine == "sklearn" else 1 / wobble[number],
    )
    standing = loop.run()["engine"]
    assert standing.verdict == "not resolved"
    assert standing.to_resolve.startswith("nothing more: ")
    assert standing.seconds_to_resolve is None
    assert standing.doubt.endswith("rounds") or standing.doubt.endswith("round")
    assert loop.policy.why_stopped == "nothing more in this grid would resolve what is open"


def test_a_small_difference_says_how_long_it_would_take(store: Store) -> None:
    loop = Loop(
        store,
        {"sklearn": lambda f: 11 * f + 0.1, "xgboost": lambda f: 10 * f + 0.1},
        rounds=3,
        wobble=lambda engine, number: 1 + 0.02 * ((number + len(engine)) % 3 - 1),
    )
    standing = loop.run()["engine"]
    assert standing.verdict == "not resolved"
    assert standing.seconds_to_resolve is not None
    assert standing.seconds_to_resolve > 20  # at least one further round of both engines
    assert " rounds of xgboost and its rivals: about " in standing.to_resolve


def test_a_failed_engine_is_named_with_its_reason(store: Store) -> None:
    seconds = {"sklearn": lambda f: 1 + f, "xgboost": lambda f: 1 + 9 * f, "torch": lambda f: 1 + 200 * f}
    loop = Loop(store, seconds, fails={"sklearn": (1 / 64, "failed")})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")
    assert "sklearn: failed: because failed (with 1,000 rows)." in standing.text


def test_a_timeout_is_no_time_but_longer_than_its_limit(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda _: 1.0, "xgboost": lambda f: 1 + f}, fails={"sklearn": (1 / 32, "timeout")})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")
    assert " times as fast as sklearn, because sklearn ran into its time limit." in standing.text
    assert "It is at least " in standing.text


def test_an_engine_that_is_never_in_time_leaves_no_doubt(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda _: 1.0, "xgboost": lambda f: 1 + f}, fails={"sklearn": (1 / 64, "timeout")})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")


def test_a_timeout_below_the_time_of_the_fastest_decides_nothing(store: Store) -> None:
    loop = Loop(
        store, {"sklearn": lambda _: 1.0, "xgboost": lambda f: 2000 * f}, fails={"sklearn": (1 / 4, "timeout")}
    )
    standing = loop.run()["engine"]
    assert standing.verdict == "not resolved"
    assert ("xgboost", 1.0) in loop.measured


def test_one_engine_alone_is_the_answer(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda f: 1 + f})
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")
    assert standing.text.endswith("It is the only engine on one node.")
    assert {fraction for _, fraction in loop.measured} >= {1.0}
    assert {piece.round for step in loop.steps for piece in step.pieces} == {1}


def test_a_faster_engine_with_a_worse_model_is_left_out(store: Store) -> None:
    loop = Loop(
        store,
        {"sklearn": lambda f: 1 + 4 * f, "xgboost": lambda f: 0.1 + f / 2},
        noise={"sklearn": lambda _: 0.1, "xgboost": lambda _: 1.5},
        fractions=(1 / 64, 1 / 4, 1.0),
    )
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "sklearn")
    assert "xgboost is left out: its model gives up +0." in standing.text


@pytest.mark.parametrize(("ratio", "verdict"), [(2.8, "not resolved"), (8.0, "yes")])
def test_a_verdict_from_one_round_needs_a_large_ratio(store: Store, ratio: float, verdict: str) -> None:
    loop = Loop(store, {"sklearn": lambda f: 2 * ratio * f, "xgboost": lambda f: 2 * f}, fractions=(1.0,))
    write = Writer(store)
    write(case("sklearn", 1.0, seed=1), 1, seconds=2 * ratio)
    write(case("xgboost", 1.0, seed=1), 1, seconds=2.0)
    (standing,) = loop.standings()
    assert standing.verdict == verdict


def test_a_ratio_with_a_very_wide_range_is_not_known_yet(store: Store) -> None:
    loop = Loop(
        store,
        {"sklearn": lambda f: 1 + f, "xgboost": lambda f: 1 + f},
        wobble=lambda engine, number: 40.0 ** ((number + (engine == "sklearn")) % 2),
        rounds=2,
        fractions=(1.0,),
    )
    for number in (1, 2):
        loop.measure(Step(tuple(Piece(one, number) for one in loop.grid), 1.0, 1.0, ""))
    (standing,) = loop.standings()
    assert standing.verdict == "not resolved"
    other = "sklearn" if standing.choice == "xgboost" else "xgboost"
    assert f"Which of it and {other} is faster is not known yet." in standing.text
    assert standing.doubt == f"{other}/{standing.choice} not known yet, 2 rounds"


def test_what_was_not_measured_with_all_rows_comes_before_more_rounds(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda f: 1 + 100 * f, "xgboost": lambda f: 1 + 60 * f})
    standing = loop.run(60.0)["engine"]
    assert standing.verdict == "not resolved"
    assert " with all rows, and perhaps more rounds: from about " in standing.to_resolve
    assert standing.seconds_to_resolve is not None
    assert 60 < standing.seconds_to_resolve < 400


def test_an_engine_that_a_small_sample_does_not_suit_takes_part(store: Store) -> None:
    loop = Loop(store, {"sklearn": lambda f: 1 + 400 * f, "xgboost": lambda f: 1 + 9 * f})
    loop.grid = [
        replace(one, unsupported="too few rows") if (one.engine, one.fraction) == ("xgboost", 1 / 64) else one
        for one in loop.grid
    ]
    loop.policy = Policy(loop.grid, ("engine",))
    standing = loop.run()["engine"]
    assert (standing.verdict, standing.choice) == ("yes", "xgboost")
    assert ("xgboost", 1 / 64) not in loop.measured
