"""How long further rounds take, from the records of earlier ones."""

from typing import Any

import pytest

from sparkscale.analysis.duration import amount, further, seconds_per_round
from sparkscale.contract.record import RunRecord
from tests.builders import record


def ran(number: int, seconds: float, run: str = "one", **changes: Any) -> RunRecord:
    return record(f"{run}-{number}-{seconds}", of=run).model_copy(
        update={"round": number, "seconds": {"load": seconds / 4, "fit": seconds * 3 / 4}, **changes}
    )


def test_a_round_takes_the_phases_of_its_executions_and_warm_ups_and_the_starts_of_workers() -> None:
    records = [
        ran(1, 2.0, temperature="warmup", start_seconds=10.0, position=0),
        ran(1, 4.0, start_seconds=10.0, position=1),  # in the same worker
        ran(2, 8.0, start_seconds=12.0, position=0),
        ran(2, 100.0, isolated=True, start_seconds=10.0, position=0),
    ]
    assert seconds_per_round(records) == ((2 + 10 + 4) + (8 + 12)) / 2


def test_rounds_of_two_runs_are_distinct() -> None:
    assert seconds_per_round([ran(1, 2.0), ran(1, 4.0, run="two")]) == 3.0


def test_records_of_earlier_releases_have_no_start() -> None:
    assert seconds_per_round([ran(1, 2.0, position=None), ran(1, 3.0, position=0, start_seconds=None)]) == 5.0


def test_further_rounds_take_as_long_as_earlier_ones() -> None:
    assert further([ran(1, 100.0), ran(2, 140.0)], 2) == "about 4 min"
    assert further([], 2) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (30.0, "30 s"),
        (89.0, "89 s"),
        (120.0, "2 min"),
        (80 * 60.0, "80 min"),
        (90 * 60.0, "1.5 h"),
        (10 * 3600.0, "10.0 h"),
    ],
)
def test_durations_are_rounded_for_a_plan(seconds: float, text: str) -> None:
    assert amount(seconds) == text
