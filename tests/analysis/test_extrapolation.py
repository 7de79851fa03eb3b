"""What a report says beyond the measured sizes: when Spark pays, and the quality with more rows."""

from collections.abc import Callable

from sparkscale.contract.record import Outcome
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import Writer, case

FRACTIONS = [2.0**-power for power in range(6, -1, -1)]
ROUNDS = 5


def measured(
    store: Store,
    mllib: Callable[[float], float],
    fractions: list[float] = FRACTIONS,
    rounds: int = ROUNDS,
    outcome_of_all: Outcome = "ok",
) -> str:
    """The report of scikit-learn, which takes 0.1 s and 8 s for all data, and of MLlib with these seconds."""
    write = Writer(store)
    for number in range(1, rounds + 1):
        for fraction in fractions:
            noise = 0.3 * fraction**-0.4
            factor = 1 + number / 1000
            write(case("sklearn", fraction, seed=number), number, seconds=(0.1 + 8 * fraction) * factor, noise=noise)
            failed = fraction == 1 and outcome_of_all != "ok"
            write(
                case("mllib", fraction, seed=number),
                number,
                seconds=None if failed else mllib(fraction) * factor,
                outcome=outcome_of_all if failed else "ok",
                noise=None if failed else noise,
            )
    return " ".join(shown(store, width=220).split())


def test_spark_pays_from_a_size_that_was_measured(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction)
    assert "mllib: it is faster than sklearn from 26," in text  # 2.9 / 7 of 64,000 rows
    assert "a forecast beyond" not in text


def test_spark_pays_from_a_size_beyond_the_measured_ones(store: Store) -> None:
    text = measured(store, lambda fraction: 30.0 + fraction)
    assert "mllib: it is faster than sklearn from 27" in text  # 29.9 / 7 of 64,000 rows
    assert "a forecast beyond the largest measured size of 64,003." in text


def test_spark_never_pays_by_these_slopes(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + 16 * fraction)
    assert "mllib: Spark does not pay against sklearn: never, by these slopes; with 640,030 rows" in text


def test_spark_does_not_pay_within_ten_times_the_sizes(store: Store) -> None:
    text = measured(store, lambda fraction: 300.0 + fraction)
    assert "not within 10 times the measured sizes; with 640,030 rows it would still take 3.9 times as long" in text


def test_few_rounds_resolve_nothing(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, rounds=3)
    assert "by its times so far, which is not resolved." in text
    assert "larger data, in 5 rounds or more." in text


def test_a_size_without_a_time_is_left_out(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, outcome_of_all="oom")
    assert "mllib: it is faster than sklearn from 26," in text


def test_two_sizes_extend_to_no_other(store: Store) -> None:
    assert "faster than sklearn" not in measured(store, lambda fraction: 3.0 + fraction, fractions=[0.5, 1.0])


def test_the_quality_with_more_rows_is_forecast(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction)
    assert "Forecast of the quality with more rows" in text
    assert "AUC with 4 ×" in text


def test_few_sizes_are_no_forecast(store: Store) -> None:
    text = measured(store, lambda fraction: 3.0 + fraction, fractions=FRACTIONS[-4:])
    assert "AUC is not forecast for more rows: ill-behaved: 4 sizes were measured, and 5 are needed." in text
