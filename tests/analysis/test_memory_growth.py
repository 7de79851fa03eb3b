"""Peak memory with more rows than were measured."""

import pytest

from sparkscale.analysis.blocks import Estimated, Grid
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.memory_growth import memory_growth
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation

GIB = 2**30
SIZES = (1 / 4, 1 / 2, 1.0)


def grown(
    store: Store, per_row: int, limit: int | None, sizes: tuple[float, ...] = SIZES, rounds: int = 5
) -> list[Grid]:
    """The table for scikit-learn, which needs 1 GiB and `per_row` bytes for each of 64,000 rows, and for MLlib."""
    budget = store.describe("budget", {"node": {"memory_bytes": limit}})
    store.begin(invocation("limited").model_copy(update={"origin": {"budget on 'local'": budget} if limit else {}}))
    write = Writer(store, "limited")
    for number in range(1, rounds + 1):
        for fraction in sizes:
            for engine in ("sklearn", "mllib"):
                measured = case(engine, fraction, seed=number)
                peak = round((GIB + per_row * measured.rows) * (1 + number / 10_000))
                write(measured, number, seconds=1.0, isolated=True, temperature="cold", peak=peak)
    (comparison,) = tradeoff.comparisons(store, store.records("limited"))
    return list(memory_growth(comparison))


def test_the_rows_that_a_limit_allows(store: Store) -> None:
    ((row,),) = (grid.rows for grid in grown(store, per_row=50_000, limit=16 * GIB))
    engine, largest, peak, forecast, allowed = row
    assert (engine, largest) == ("sklearn", 64_003)
    assert peak == pytest.approx((GIB + 50_000 * 64_003) / GIB, rel=1e-3)
    assert forecast == pytest.approx((GIB + 50_000 * 640_030) / GIB, rel=1e-3)
    assert isinstance(allowed, Estimated)
    assert allowed.value == pytest.approx(15 * GIB / 50_000, rel=2e-3)
    assert allowed.interval is not None
    assert allowed.interval.low < allowed.value < allowed.interval.high


def test_nothing_is_said_beyond_ten_times_the_rows(store: Store) -> None:
    ((row,),) = (grid.rows for grid in grown(store, per_row=1000, limit=16 * GIB))
    assert isinstance(row[4], Estimated)
    assert row[4].value == float("inf")


def test_without_a_known_limit_only_the_peak_is_forecast(store: Store) -> None:
    ((row,),) = (grid.rows for grid in grown(store, per_row=50_000, limit=None))
    assert row[4] is None


def test_two_sizes_are_not_extended(store: Store) -> None:
    assert grown(store, per_row=50_000, limit=16 * GIB, sizes=(1 / 2, 1.0)) == []


def test_few_rounds_have_no_interval(store: Store) -> None:
    ((row,),) = (grid.rows for grid in grown(store, per_row=50_000, limit=16 * GIB, rounds=3))
    assert isinstance(row[4], Estimated)
    assert row[4].interval is None
