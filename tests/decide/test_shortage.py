"""What is said before anything is measured if the time is too short."""

import pytest

from sparkscale.analysis.questions.decide.grid import GridCell
from sparkscale.contract.case import Placement
from sparkscale.contract.errors import ConfigError
from sparkscale.decide.shortage import check_time, first_cells


def cell(engine: str, placement: Placement, rows: int = 100) -> GridCell:
    return GridCell(
        key=f"{engine} {rows}",
        workload="data_parallel.toy",
        engine=engine,
        placement=placement,
        cluster="local",
        device="cpu",
        fraction=rows / 6400,
        rows=rows,
        parameter_set="aligned",
        threads=2,
        cores=2,
        rounds=8,
        worker=placement,
    )


CELLS = [
    cell("mllib", "spark"),
    cell("sklearn", "node", 6400),
    cell("sklearn", "node"),
    cell("xgboost", "node"),
    cell("xgboost", "node", 6400),
]


def test_the_first_cells_are_the_smallest_and_those_on_one_node_come_first() -> None:
    found = [(one.engine, one.rows) for one in first_cells(CELLS)]
    assert found == [("sklearn", 100), ("xgboost", 100), ("mllib", 100)]


def test_nothing_is_said_if_each_engine_can_be_measured() -> None:
    assert check_time(CELLS, 900, 1000) == ""


def test_a_time_that_is_too_short_for_any_measurement_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        check_time(CELLS, 1.0, 6.0)
    message = str(caught.value)
    assert message.startswith(
        "--within 6 s is too short: 5 s went into preparing the data, and sklearn on 100 rows may take "
    )
    (least,) = (word for word in message.split() if word.endswith("s.") and word[0].isdigit())
    assert check_time(CELLS, float(least.removesuffix("s.")) - 5.0, 60.0) != ""


def test_a_short_time_names_the_engines_that_can_be_measured_and_what_they_answer() -> None:
    note = check_time(CELLS, 25.0, 30.0)
    assert note.startswith(
        "30 s are too short to measure every engine once: 5 s went into preparing the data, and this takes about "
    )
    assert "suffices for sklearn, xgboost, on the smallest sample." in note
    assert note.endswith("So it can only answer which of them is faster, and whether a sample is enough.")
    assert check_time(CELLS[::-1][:1] + CELLS[:1], 25.0, 30.0).endswith("no question that compares engines.")
