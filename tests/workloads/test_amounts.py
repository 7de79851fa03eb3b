"""Numbers of rows as people write them."""

from typing import Any

import pytest

from workloads.datasets.amounts import parse_rows, show_rows


@pytest.mark.parametrize(
    ("written", "rows"),
    [
        ("1e6", 1_000_000),
        ("2.5e6", 2_500_000),
        ("10_000_000", 10_000_000),
        ("100M", 100_000_000),
        ("1.5k", 1500),
        ("2G", 2_000_000_000),
        (4096, 4096),
        (2e6, 2_000_000),
    ],
)
def test_rows_as_people_write_them(written: Any, rows: int) -> None:
    assert parse_rows(written) == rows


@pytest.mark.parametrize("written", ["", "many", "-5", "1.5", "1e-3", "0x10", "5 M M", True, "1e400"])
def test_what_is_no_number_of_rows(written: Any) -> None:
    with pytest.raises(ValueError, match="number of rows"):
        parse_rows(written)


def test_a_name_for_a_number_is_exact() -> None:
    assert [show_rows(rows) for rows in (2_000_000, 1500, 1_234_567, 3 * 10**9)] == ["2M", "1500", "1234567", "3G"]
    assert all(parse_rows(show_rows(rows)) == rows for rows in (2_000_000, 1500, 1_234_567, 3 * 10**9, 65_000))
