"""Does Spark pay, is a sample enough, and how many workers."""

from sparkscale.analysis.questions.decide.grid import Piece, Step
from sparkscale.store.store import Store
from tests.analysis.decide.measuring import Loop


def test_spark_does_not_pay(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda f: 0.1 + f, "mllib": lambda f: 4 + 30 * f}, ("cluster",))
    standing = loop.run()["cluster"]
    assert (standing.verdict, standing.choice) == ("no", "no")
    assert "With 640,000 rows, mllib would take" in standing.text
    rounds = {piece.round for step in loop.steps for piece in step.pieces}
    assert max(rounds) <= 3


def test_spark_pays_from_a_size_on(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda f: 0.1 + 60 * f, "mllib": lambda f: 6 + 3 * f}, ("cluster",))
    standing = loop.run()["cluster"]
    assert standing.verdict == "yes"
    engine, _, size = standing.choice.partition(" from ")
    assert engine == "mllib"
    assert 5_000 < float(size.removesuffix(" rows")) < 9_000  # 5.9 / 57 of 64,000 rows
    assert "mllib is faster than xgboost from " in standing.text


def test_spark_pays_if_only_spark_has_enough_memory(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + f, "mllib": lambda f: 4 + 30 * f},
        ("cluster",),
        fails={"xgboost": (1 / 2, "oom")},
    )
    standing = loop.run()["cluster"]
    assert standing.choice in ("mllib from 32000 rows", "mllib from 64000 rows")
    rows = "32,000" if "32000" in standing.choice else "64,000"
    assert standing.text.startswith(f"Engines on one node run out of memory with {rows} rows, and mllib does not.")


def test_a_failed_engine_on_spark_is_named(store: Store) -> None:
    loop = Loop(
        store, {"xgboost": lambda f: 0.1 + f, "mllib": lambda _: 4.0}, ("cluster",), fails={"mllib": (0, "failed")}
    )
    standing = loop.run()["cluster"]
    assert standing.verdict == "not resolved"
    assert "mllib: failed: because failed" in standing.text


def test_a_grid_without_spark_does_not_resolve_it(store: Store) -> None:
    standing = Loop(store, {"xgboost": lambda f: 0.1 + f}, ("cluster",)).run()["cluster"]
    assert standing.verdict == "not resolved"
    assert standing.text == "The grid has no engine on Spark."


def test_a_sample_is_enough(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + 20 * f, "mllib": lambda _: 300.0},
        ("sample",),
        noise={"xgboost": lambda f: 0.2 if f >= 1 / 4 else 2.0, "mllib": lambda _: 0.2},
        fractions=(1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0),
    )
    standing = loop.run()["sample"]
    assert (standing.verdict, standing.choice) == ("yes", "1/4 for xgboost")
    assert "mllib" not in {engine for engine, _ in loop.measured}
    assert standing.text.startswith("For xgboost, 1/4 of the rows is enough. It gives up ")


def test_no_sample_is_enough(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + 20 * f},
        ("sample",),
        noise={"xgboost": lambda f: 0.1 if f == 1 else 1.5},
        fractions=(1 / 4, 1 / 2, 1.0),
    )
    standing = loop.run()["sample"]
    assert (standing.verdict, standing.choice) == ("no", "all rows for xgboost")


def test_a_sample_is_judged_only_after_the_planned_rounds(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + 20 * f},
        ("sample",),
        noise={"xgboost": lambda _: 0.2},
        fractions=(1 / 2, 1.0),
    )
    for number in range(1, 3):
        step = loop.next()
        while step is not None and step.pieces[0].round == number:
            loop.measure(step)
            step = loop.next()
        (standing,) = loop.standings()
        assert standing.verdict == "not resolved"
        assert standing.doubt == f"{number} of 3 rounds"
    loop.run()
    (standing,) = loop.standings()
    assert standing.verdict == "yes"


def test_a_grid_without_samples_says_so(store: Store) -> None:
    standing = Loop(store, {"xgboost": lambda _: 1.0}, ("sample",), fractions=(1.0,)).run()["sample"]
    assert standing.text == "The grid has no sample and all data of one engine, so no sample can be judged."


def test_workers_need_several_profiles(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda f: 0.1 + f, "mllib": lambda f: 4 + f}, ("workers",))
    standing = loop.run()["workers"]
    assert standing.verdict == "not resolved"
    assert standing.text == "How many workers are best needs several profiles of Spark: name them with --cluster A,B."


def test_the_fewest_workers_that_beat_one_node(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + 20 * f, "mllib": lambda f: 10 + 20 * f},
        ("workers",),
        clusters={"one": 1, "two": 2, "eight": 8},
    )
    standing = loop.run()["workers"]
    assert standing.choice == "mllib on eight; 8 cores beat one node"
    assert standing.verdict == "yes"


def test_a_contest_uses_the_rounds_of_both_engines(store: Store) -> None:
    seconds = {"sklearn": lambda f: 1 + 10 * f, "xgboost": lambda f: 1 + 6 * f, "mllib": lambda f: 12 + f}
    standing = (loop := Loop(store, seconds, ("engine", "cluster"))).run()["cluster"]
    assert standing.verdict == "not resolved"
    rounds = {(piece.cell.engine, piece.round) for step in loop.steps for piece in step.pieces}
    assert {("xgboost", 6), ("mllib", 6)} <= rounds
    assert standing.to_resolve == "more rounds than the suite has"


def test_one_size_does_not_show_from_which_size_spark_pays(store: Store) -> None:
    loop = Loop(store, {"xgboost": lambda _: 60.0, "mllib": lambda _: 5.0}, ("cluster",), fractions=(1.0,))
    standing = loop.run()["cluster"]
    assert standing.verdict == "yes"
    assert standing.text.startswith("With 64,000 rows, mllib takes ")
    assert "90 %" not in standing.text


def test_a_suite_without_a_large_sample_says_which_is_missing(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 0.1 + 20 * f},
        ("sample",),
        noise={"xgboost": lambda f: 0.1 if f == 1 else 1.5},
        fractions=(1 / 8, 1 / 4, 1.0),
    )
    standing = loop.run()["sample"]
    assert standing.verdict == "not resolved"
    assert standing.text.startswith("For xgboost, 1/4 of the rows is too few. ")
    assert standing.to_resolve == "a suite with a larger sample than 1/4, such as 1/2"


def test_a_worse_model_on_spark_is_the_reason_if_its_time_is_not(store: Store) -> None:
    loop = Loop(
        store,
        {"xgboost": lambda f: 1 + 60 * f, "mllib": lambda f: 6 + 3 * f},
        ("cluster",),
        noise={"xgboost": lambda _: 0.1, "mllib": lambda _: 1.5},
    )
    for number in range(1, 7):
        loop.measure(Step(tuple(Piece(one, number) for one in loop.grid if one.fraction == 1), 1.0, 1.0, ""))
    for one in loop.grid:
        if one.fraction < 1:
            loop.measure(Step((Piece(one, 1),), 1.0, 1.0, ""))
    (standing,) = loop.standings()
    assert (standing.verdict, standing.choice) == ("no", "no")
    assert standing.text == "The model of mllib is worse than that of xgboost."
