"""The best model for a time, over engines, fractions and sizes of models."""

import datetime
from dataclasses import replace

import pytest

from sparkscale.analysis.blocks import Grid
from sparkscale.analysis.patterns.data_parallel import report
from sparkscale.analysis.patterns.data_parallel.frontier import Frontier
from sparkscale.analysis.price import Price
from sparkscale.contract.case import Case
from sparkscale.store.store import Store
from tests.builders import Writer, case

ROUNDS = 5
POINTS = {
    ("xgboost", 1 / 16, 10): (0.05, 1.5),
    ("xgboost", 1.0, 10): (0.5, 0.6),
    ("sklearn", 1.0, 10): (2.0, 0.6),  # slower, and not better
    ("xgboost", 1.0, 80): (4.0, 0.12),
    ("sklearn", 1.0, 80): (20.0, 0.0),  # better by less than is tolerated
    ("sklearn", 1 / 16, 80): (40.0, 1.5),  # slower and worse
}
"""Seconds, and noise of the scores, by engine, fraction and number of trees."""


def sized(engine: str, fraction: float, trees: int, number: int) -> Case:
    measured = case(engine, fraction, seed=number)
    return measured.model_copy(update={"params": {**measured.params, "trees": trees}})


@pytest.fixture
def frontier(store: Store) -> Frontier:
    write = Writer(store)
    for (engine, fraction, trees), (seconds, noise) in POINTS.items():
        for number in range(1, ROUNDS + 1):
            slower = seconds * (1 + number / 100)
            write(sized(engine, fraction, trees, number), number, seconds=slower, noise=noise)
    (found,) = (item for item in report.reports(store, store.records()) if isinstance(item, Frontier))
    return found


def test_the_front_holds_what_is_neither_slower_nor_worse(frontier: Frontier) -> None:
    assert [(point.cell.case.engine, point.cell.case.fraction, point.size) for point in frontier.front()] == [
        ("xgboost", 1 / 16, "10 trees"),
        ("xgboost", 1.0, "10 trees"),
        ("xgboost", 1.0, "80 trees"),
        ("sklearn", 1.0, "80 trees"),
    ]
    (grid,) = (block for block in frontier.blocks() if isinstance(block, Grid))
    assert len(grid.rows) == 4


def test_the_choice_is_the_fastest_that_is_good_enough(frontier: Frontier) -> None:
    """With 60 s scikit-learn's 80 trees could be afforded, but XGBoost's are as good as is tolerated."""
    text = frontier.answer_for(60.0, None).text
    assert text.startswith("For 60 s use xgboost, all rows, 80 trees: AUC 0.7")
    assert text.endswith("sklearn, all rows, 80 trees, is better by at most the tolerated 0.005.")


def test_a_time_counts_as_enough_if_it_holds_in_rounds_to_come(frontier: Frontier) -> None:
    """Rounds took 0.505 to 0.525 s: half a second is not enough."""
    assert "xgboost, 1/16 of the rows, 10 trees" in frontier.answer_for(0.5, None).text
    assert "xgboost, all rows, 10 trees" in frontier.answer_for(0.6, None).text


def test_too_little_time_says_what_the_fastest_takes(frontier: Frontier) -> None:
    text = frontier.answer_for(0.01, None).text
    assert text == (
        "No model was ready within 0.01 s. The fastest, xgboost, 1/16 of the rows, 10 trees, takes up to 0.052 s."
    )


def test_round_times_have_an_answer_each_if_their_choices_differ(frontier: Frontier) -> None:
    (answer,) = frontier.answers()
    assert answer.text.count("For ") == 3
    assert "For 0.1 s use xgboost, 1/16 of the rows, 10 trees" in answer.text
    assert "For 1 s use xgboost, all rows, 10 trees" in answer.text
    assert "For 10 s use xgboost, all rows, 80 trees" in answer.text


def test_money_needs_a_price(frontier: Frontier) -> None:
    assert "has no price" in frontier.answer_for(None, 0.01).text


def test_money_buys_time_by_the_price_of_an_hour(frontier: Frontier) -> None:
    """At 36 EUR an hour, 0.006 EUR pay for 0.6 s."""
    priced = replace(frontier, price=Price(36.0, "EUR", "our contract", datetime.date(2026, 11, 28)))
    text = priced.answer_for(None, 0.006).text
    assert "xgboost, all rows, 10 trees" in text
    assert "0.00515 EUR" in text, "0.515 s"
    assert "xgboost, 1/16 of the rows, 10 trees" in priced.answer_for(None, 0.005).text


def test_one_point_is_no_front(store: Store) -> None:
    write = Writer(store)
    for fraction in (1 / 4, 1.0):
        write(sized("sklearn", fraction, 10, 1), 1, seconds=fraction, noise=0.5)  # as good on a quarter
    assert [item for item in report.reports(store, store.records()) if isinstance(item, Frontier)] == []
