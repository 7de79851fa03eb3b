"""The answers to three questions, and what a report says beyond the measured sizes."""

import datetime
import re
from typing import Any

import pytest

from sparkscale.analysis.blocks import Answer, Estimated, Grid
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.answers import NODE, SAMPLE, SPARK, Answers
from sparkscale.analysis.price import Price
from sparkscale.analysis.report import report
from sparkscale.contract.record import Outcome
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import FRACTIONS, ROUNDS_OF_TIMES, Writer, case, sklearn_and_mllib


def measured(store: Store, *arguments: Any, **options: Any) -> str:
    """The report of what `sklearn_and_mllib` measured with these arguments."""
    sklearn_and_mllib(store, *arguments, **options)
    return " ".join(shown(store, width=220).split())


def test_spark_pays_from_a_size_that_was_measured(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction)
    assert "mllib is faster than sklearn from 26," in text  # 2.9 / 7 of 64,000 rows
    assert "a forecast beyond" not in text


def test_spark_pays_from_a_size_beyond_the_measured_ones(store: Store) -> None:
    text = measured(store, lambda fraction: 30.0 + fraction)
    assert "mllib is faster than sklearn from 27" in text  # 29.9 / 7 of 64,000 rows
    assert "a forecast beyond the largest measured size of 64,003." in text


def test_spark_never_pays_by_these_slopes(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + 16 * fraction)
    assert "mllib never becomes faster than sklearn, by the slopes of both; with 640,030 rows" in text


def test_spark_does_not_pay_within_ten_times_the_sizes(store: Store) -> None:
    text = measured(store, lambda fraction: 300.0 + fraction)
    assert "mllib is not faster than sklearn within 10 times the measured sizes; with 640,030 rows it" in text
    assert "would still take 3.9 times as long" in text


def test_few_rounds_resolve_nothing(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, rounds=3)
    assert "by its times so far, which is not resolved." in text
    assert "To resolve it, measure 5 rounds instead of 3" in text


def test_a_size_without_a_time_is_left_out(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, outcome_of_all="oom")
    assert "mllib is faster than sklearn from 26," in text


def test_two_sizes_extend_to_no_other(store: Store) -> None:
    assert "faster than sklearn" not in measured(store, lambda fraction: 3.0 + fraction, fractions=[0.5, 1.0])


def test_the_quality_with_more_rows_is_forecast(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction)
    assert "Forecast of the quality with more rows" in text
    assert "AUC with 4 ×" in text


def test_few_sizes_are_no_forecast(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, fractions=FRACTIONS[-4:])
    assert "AUC is not forecast for more rows: ill-behaved: 4 sizes were measured, and 5 are needed." in text


def answers_of(store: Store) -> dict[str, Answer]:
    """The answers of the only comparison, by question."""
    (comparison,) = tradeoff.comparisons(store, store.records())
    return {answer.question: answer for answer in Answers(comparison).every()}


def times(store: Store, seconds: dict[str, list[float]], noise: dict[str, float] | None = None) -> None:
    """Writes executions on all rows: `seconds` of each round, and `noise` of the scores, by engine."""
    write = Writer(store)
    for engine, of_rounds in seconds.items():
        for number, value in enumerate(of_rounds, start=1):
            write(
                case(engine, 1.0, seed=number), number, seconds=value, noise=(noise or {}).get(engine, 0.1), start=2.0
            )


FAST, SLOW = [1.0, 1.1, 1.0, 1.2, 1.1], [3.0, 3.2, 3.1, 3.3, 3.0]


def test_the_fastest_engine_on_one_node(store: Store) -> None:
    times(store, {"sklearn": SLOW, "xgboost": FAST})
    answer = answers_of(store)[NODE]
    assert answer.verdict == "yes"
    assert answer.text.startswith("xgboost takes 1.1 s (1–1.2) for 64,003 rows. It is 2.91 (2.73–3.10) times as fast")
    assert len(answer.evidence) == 10
    assert answer.would_resolve == ""


def test_a_price_turns_seconds_into_money(store: Store) -> None:
    times(store, {"sklearn": SLOW, "xgboost": FAST})
    (comparison,) = tradeoff.comparisons(store, store.records())
    price = Price(36.0, "EUR", "our contract", datetime.date(2026, 11, 28))
    (answer, *_) = Answers(comparison, price).every()
    assert answer.text.startswith("xgboost takes 1.1 s (1–1.2) for 64,003 rows, which costs 0.011 EUR.")


def test_a_faster_engine_with_a_worse_model_is_left_out(store: Store) -> None:
    times(store, {"sklearn": SLOW, "xgboost": FAST}, {"xgboost": 1.5, "sklearn": 0.0})
    answer = answers_of(store)[NODE]
    assert answer.text.startswith("sklearn takes 3.1 s")
    assert "xgboost is left out: its model gives up +0.1" in answer.text


def test_engines_of_about_the_same_speed_need_no_more_rounds(store: Store) -> None:
    times(store, {"sklearn": [1.0, 2.0, 1.0, 2.0, 1.5], "xgboost": [2.0, 1.0, 2.0, 1.0, 1.5]})
    answer = answers_of(store)[NODE]
    assert answer.verdict == "not resolved"
    assert answer.would_resolve == ""
    assert answer.text.endswith("Further rounds would hardly resolve it: the engines take about the same time.")


def test_few_rounds_say_how_many_more_and_how_long(store: Store) -> None:
    times(store, {"sklearn": SLOW[:3], "xgboost": FAST[:3]})
    answer = answers_of(store)[NODE]
    assert answer.verdict == "not resolved"
    # two rounds more: the phases of both engines, 0.5 s of `predict` and 2 s of start for each
    assert answer.would_resolve == "5 rounds instead of 3: about 18 s more"


def test_one_engine_is_no_comparison(store: Store) -> None:
    times(store, {"sklearn": SLOW})
    answer = answers_of(store)[NODE]
    assert answer.verdict is None
    assert answer.text.endswith("No other engine was measured on one node.")


def test_one_size_says_nothing_of_others(store: Store) -> None:
    times(store, {"sklearn": FAST, "xgboost": [value / 2 for value in FAST], "mllib": SLOW})
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "no"
    assert "With 64,003 rows, mllib takes 5.82 (5.45–6.2) times as long as xgboost. Fewer than 3 sizes" in answer.text


def test_out_of_memory_is_an_edge(store: Store) -> None:
    """The rival is faster as long as it has enough memory."""
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for fraction in (1 / 8, 1 / 4, 1 / 2, 1.0):
            write(case("mllib", fraction, seed=number), number, seconds=30 + 10 * fraction, noise=0.1)
            fits = fraction < 1
            write(
                case("sklearn", fraction, seed=number),
                number,
                seconds=fraction if fits else None,
                outcome="ok" if fits else "oom",
                noise=0.1 if fits else None,
            )
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "yes"
    assert "sklearn runs out of memory with 64,003 rows, and mllib does not" in answer.text
    assert "rival out of memory" in " ".join(shown(store, width=220).split())


def test_a_faster_engine_on_spark_with_a_worse_model_does_not_pay(store: Store) -> None:
    times(store, {"sklearn": SLOW, "mllib": FAST}, {"mllib": 1.5, "sklearn": 0.0})
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "no"
    assert "; but its model gives up +0.1" in answer.text


def test_a_rival_with_few_sizes_does_not_hide_the_best_one(store: Store) -> None:
    """scikit-learn timed out above 1/4. XGBoost, which is faster than MLlib everywhere, is the one to beat."""
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for fraction in (1 / 16, 1 / 4, 1 / 2, 1.0):
            noisy = 1 + number / 1000
            write(case("mllib", fraction, seed=number), number, seconds=(20 + 8 * fraction) * noisy, noise=0.1)
            write(case("xgboost", fraction, seed=number), number, seconds=(0.5 + 13 * fraction) * noisy, noise=0.1)
            late = fraction > 1 / 4
            outcome: Outcome = "timeout" if late else "ok"
            seconds = None if late else 60 * noisy
            write(
                case("sklearn", fraction, seed=number),
                number,
                seconds=seconds,
                outcome=outcome,
                phase="fit" if late else None,
            )
    answer = answers_of(store)[SPARK]
    assert "mllib is faster than xgboost from 2" in answer.text  # 19.5 / 5 times the rows
    assert "sklearn" not in answer.text


def test_an_engine_that_does_not_pay_may_still_overtake_another_library(store: Store) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for fraction in (1 / 8, 1 / 4, 1 / 2, 1.0):
            noisy = 1 + number / 1000
            for engine, seconds in (
                ("mllib", 4 + 8 * fraction),
                ("xgboost", 1 + fraction),
                ("sklearn", 20 * fraction),
            ):
                write(case(engine, fraction, seed=number), number, seconds=seconds * noisy, noise=0.1)
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "no"
    assert "mllib never becomes faster than xgboost, by the slopes of both" in answer.text
    assert "But mllib is faster than sklearn from 21," in answer.text  # a third of the rows


def test_the_edge_is_said_even_if_the_times_cross_below_it(store: Store) -> None:
    write = Writer(store)
    for number in (1, 2, 3):
        for fraction in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0):
            fits = fraction < 1
            write(case("mllib", fraction, seed=number), number, seconds=5 + fraction, noise=0.1)
            write(
                case("sklearn", fraction, seed=number),
                number,
                seconds=20 * fraction if fits else None,
                outcome="ok" if fits else "oom",
                noise=0.1 if fits else None,
            )
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "yes"
    assert answer.text.startswith(
        "sklearn runs out of memory with 64,002 rows, and mllib does not; mllib is faster than"
    )


def test_a_failed_rival_leaves_the_answer_open(store: Store) -> None:
    times(store, {"sklearn": SLOW})
    write = Writer(store)
    write.count = 100
    for number in range(1, ROUNDS_OF_TIMES + 1):
        late = number == 1
        outcome: Outcome = "timeout" if late else "ok"
        write(
            case("xgboost", 1.0, seed=number),
            number,
            seconds=None if late else 0.5,
            outcome=outcome,
            phase="fit" if late else None,
        )
    answer = answers_of(store)[NODE]
    assert answer.verdict == "not resolved"
    assert "xgboost: timeout in 1 of 5 executions." in answer.text
    assert answer.would_resolve == "the cases without a time again (--retry-failed)"


def test_more_sizes_in_a_further_run_do_not_remove_the_answer(store: Store) -> None:
    """Rounds of one run have three sizes, and those of another have a fourth."""
    write = Writer(store)
    for number in range(1, 2 * ROUNDS_OF_TIMES + 1):
        for fraction in (1 / 8, 1 / 4, 1 / 2) if number <= ROUNDS_OF_TIMES else (1.0,):
            write(case("sklearn", fraction, seed=number), number, seconds=8 * fraction + number / 100)
            write(case("mllib", fraction, seed=number), number, seconds=30 + 16 * fraction + number / 100)
    answer = answers_of(store)[SPARK]
    assert answer.verdict == "no"
    assert "mllib never becomes faster than sklearn" in answer.text


def test_a_fraction_without_a_result_is_a_sentence(store: Store) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        write(case("sklearn", 1.0, seed=number), number, seconds=1.0, noise=0.1)
        write(case("sklearn", 1 / 2, seed=number), number, outcome="failed")
    assert answers_of(store)[SAMPLE].text.startswith("For sklearn, no sample can be judged: 1/2 has no result.")


def test_large_numbers_have_no_exponent(store: Store) -> None:
    times(store, {"sklearn": [1240.0, 1250.0, 1230.0, 1240.0, 1240.0], "mllib": [1e5] * 5})
    answers = answers_of(store)
    assert answers[NODE].text.startswith("sklearn takes 1,240 s (1,230–1,250) for 64,003 rows.")
    assert "mllib takes 80.6 (80–81.3) times as long as sklearn" in answers[SPARK].text


def test_the_probability_of_a_sample_and_what_the_other_engines_say(store: Store) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for engine, of_sample in (("sklearn", 0.01), ("mllib", 1.0)):
            for fraction, noise in ((1 / 2, of_sample), (1.0, 0.0)):
                write(case(engine, fraction, seed=number), number, seconds=fraction, noise=noise)
    answer = answers_of(store)[SAMPLE]
    assert answer.verdict == "yes"
    assert "For sklearn, 1/2 of the rows is enough." in answer.text
    assert "The confidence that this is at most the tolerated 0.005 is over 99 %." in answer.text
    assert "Its time to model is 50% (50%–50%) of all data's." in answer.text
    assert "Other engines: mllib: 1/2 is too few." in answer.text


def test_a_sample_with_the_same_scores_is_surely_enough(store: Store) -> None:
    """The difference is exactly 0, so it has no standard error."""
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for fraction in (1 / 2, 1.0):
            write(case("sklearn", fraction, seed=number), number, seconds=fraction, noise=0.1)
    text = answers_of(store)[SAMPLE].text
    assert "For sklearn, 1/2 of the rows is enough." in text
    assert "The confidence that this is at most the tolerated 0.005 is over 99 %." in text


def test_the_fastest_engine_on_one_node_leads_the_answer_about_samples(store: Store) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for engine, seconds in (("sklearn", 3.0), ("xgboost", 1.0)):
            for fraction, noise in ((1 / 2, 0.01), (1.0, 0.0)):
                write(case(engine, fraction, seed=number), number, seconds=seconds * fraction, noise=noise)
    text = answers_of(store)[SAMPLE].text
    assert text.startswith("For xgboost, 1/2 of the rows is enough.")
    assert text.endswith("Other engines: sklearn: 1/2 is enough.")


def test_a_sample_is_judged_without_an_engine_on_one_node(store: Store) -> None:
    write = Writer(store)
    for number in range(1, ROUNDS_OF_TIMES + 1):
        for fraction, noise in ((1 / 2, 0.01), (1.0, 0.0)):
            write(case("mllib", fraction, seed=number), number, seconds=fraction, noise=noise)
    found = answers_of(store)
    assert list(found) == [SAMPLE]
    assert found[SAMPLE].text.startswith("For mllib, 1/2 of the rows is enough.")


def test_an_unresolved_sample_says_how_many_rounds_would_resolve_it(store: Store) -> None:
    write = Writer(store)
    for number, noise in enumerate((0.02, 0.2, 0.05), start=1):
        write(case("sklearn", 1 / 2, seed=number), number, seconds=1.0, noise=noise)
        write(case("sklearn", 1.0, seed=number), number, seconds=2.0, noise=0.0)
    answer = answers_of(store)[SAMPLE]
    assert answer.verdict == "not resolved"
    assert re.fullmatch(r"\d+ rounds instead of 3: about \d+ s more", answer.would_resolve)


def test_a_forecast_from_a_quarter_is_compared_with_all_data(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction)
    assert "With more rows, AUC is forecast to be 0." in text
    assert "From 1/4 and less, the forecast for all rows is 0." in text
    grids = [block for block in report(store, store.invocation()) if isinstance(block, Grid)]
    grid = next(grid for grid in grids if grid.title.startswith("Forecast"))
    at = next(number for number, column in enumerate(grid.columns) if column.heading.startswith("with 1 ×, forecast"))
    for row in grid.rows:
        tested = row[at]
        assert isinstance(tested, Estimated)
        assert tested.value == pytest.approx(row[at + 1], abs=0.01)


def test_answers_are_below_their_questions_in_a_report(store: Store) -> None:
    times(store, {"sklearn": SLOW, "xgboost": FAST})
    text = shown(store)
    assert text.index("Which engine on one node? (flights, cluster local, cpu)") < text.index(
        "• gradient boosting: Yes."
    )
