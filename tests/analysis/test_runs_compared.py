"""Several runs in one report: side by side where they are comparable, and a plain statement where they are not."""

from collections.abc import Callable
from typing import Any

import pytest

from sparkscale.analysis.blocks import Chart, Grid, Heading, Warning
from sparkscale.analysis.report import report_of_runs
from sparkscale.analysis.runs_compared import runs_compared
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation

SOFTWARE = {"python": "3.11.7", "implementation": "cpython", "packages": {"xgboost": "3.1.0", "pandas": "2.3.3"}}


@pytest.fixture
def two(store: Store) -> Store:
    """A store with two runs, which have no records yet."""
    store.begin(invocation("two", day=2))
    return store


def written(
    store: Store, change: Callable[[RunRecord], dict[str, Any]] = lambda _: {}, is_for_both: bool = False
) -> None:
    """Writes sklearn's times of both runs: 1, 2 and 3 s, and twice as long in the second.

    `change` returns what else is different in the records of the second run, or of both.
    """
    software = store.describe("software", SOFTWARE)
    for of, times in (("one", 1.0), ("two", 2.0)):
        is_changed = is_for_both or of == "two"

        def update(record: RunRecord, is_changed: bool = is_changed, of: str = of) -> dict[str, Any]:
            made = {"software": software, "id": f"{of}-{record.id}"}
            return {**made, **change(record)} if is_changed else made

        write = Writer(store, of, update)
        for number in (1, 2, 3):
            write(case("sklearn", 1 / 4, seed=number), number, seconds=times * number)
            write(case("mllib", 1.0, seed=number), number, seconds=10 * number)


def compared(store: Store) -> tuple[list[Grid], list[str]]:
    """The tables and the warnings on both runs."""
    found = list(runs_compared(store, [store.invocation(identity=one) for one in ("one", "two")]))
    return [one for one in found if isinstance(one, Grid)], [one.text for one in found if isinstance(one, Warning)]


def test_comparable_runs_are_side_by_side(two: Store) -> None:
    written(two)
    (grid,), warnings = compared(two)
    assert warnings == []
    assert [column.heading.replace("\n", " ") for column in grid.columns] == [
        "engine",
        "fraction",
        "run 1: time to model, s",
        "run 2: time to model, s",
        "run 2 over run 1",
    ]
    engine, fraction, first, second, ratio = grid.rows[0]
    assert (engine, fraction) == ("sklearn", "1/4")
    assert isinstance(ratio, Spread)
    assert (ratio.median, ratio.low, ratio.high, ratio.count) == (2.0, 2.0, 2.0, 3)
    assert isinstance(first, Spread)
    assert isinstance(second, Spread)
    assert (first.median, first.low, first.high, second.median) == (2.0, 1.0, 3.0, 4.0)
    same = grid.rows[1][-1]
    assert isinstance(same, Spread)
    assert same.median == 1.0


def test_a_ratio_is_that_of_executions_with_the_same_seeds(two: Store) -> None:
    def other_seeds(record: RunRecord) -> dict[str, Any]:
        return {"case": record.case.model_copy(update={"sample_seed": record.case.sample_seed + 50})}

    written(two, other_seeds)
    (grid,), _ = compared(two)
    assert [row[-1] for row in grid.rows] == [None, None]
    assert all(isinstance(cell, Spread) for row in grid.rows for cell in row[2:4])


def test_cases_with_many_different_parameters_are_not_mixed(two: Store) -> None:
    def with_many(record: RunRecord) -> dict[str, Any]:
        slow = record.engine == "mllib"
        params = {"set": "aligned", **{f"p{number}": 1 for number in range(8)}, "p9": 2 if slow else 1}
        case_of_all = record.case.model_copy(
            update={"engine": "sklearn", "placement": "node", "fraction": 1.0, "params": params}
        )
        return {"case": case_of_all}

    written(two, with_many, is_for_both=True)
    (grid,), _ = compared(two)
    medians = [row[3].median for row in grid.rows if isinstance(row[3], Spread)]
    assert medians == [2.0, 20.0]


def test_different_engines_on_different_hosts_are_not_beside_each_other(two: Store) -> None:
    other = two.describe("host", HOST)
    written(
        two,
        lambda record: {
            "host": other,
            "case": record.case.model_copy(update={"engine": f"{record.engine}-2", "placement": "spark"}),
        },
    )
    grids, (warning,) = compared(two)
    assert grids == []
    assert "another host" in warning


def test_runs_without_a_common_case_say_so(two: Store) -> None:
    written(two, lambda record: {"case": record.case.model_copy(update={"fraction": 1 / 64})})
    grids, (warning,) = compared(two)
    assert grids == []
    assert warning.endswith("the runs have no case in common, so nothing is compared.")


def test_a_case_that_one_run_lacks_has_an_empty_cell(two: Store) -> None:
    written(two, lambda record: {"outcome": "failed", "seconds": {}} if record.engine == "mllib" else {})
    (grid,), _ = compared(two)
    assert grid.rows[1][3:] == (None, None)


HOST = {"cpu": "Another CPU", "usable_cores": 8, "memory_bytes": 2**35, "os": "Linux"}


def test_a_run_on_another_host_is_not_compared(two: Store) -> None:
    other = two.describe("host", HOST)
    written(two, lambda _: {"host": other})
    grids, warnings = compared(two)
    assert grids == []
    assert warnings == [
        "data_parallel.gradient_boosting on flights, cluster local, cpu: run 2 cannot be compared with run 1, "
        "because it has another host (Another CPU, 8 cores, 32 GiB, Linux, not Test CPU, 2 cores, 16 GiB, Linux, "
        "2 × Test GPU)."
    ]


def test_a_run_with_other_versions_is_not_compared_and_they_are_named(two: Store) -> None:
    packages = {"xgboost": "3.2.0", "pandas": "2.3.3", "torch": "2.13.0"}
    other = two.describe("software", {**SOFTWARE, "packages": packages})
    written(two, lambda _: {"software": other})
    grids, (warning,) = compared(two)
    assert grids == []
    assert warning.endswith("because it has other versions (torch 2.13.0, not none; xgboost 3.2.0, not 3.1.0).")


def test_a_run_on_other_data_is_not_compared(two: Store) -> None:
    written(two, lambda record: {"case": record.case.model_copy(update={"dataset_id": "other"})})
    grids, (warning,) = compared(two)
    assert grids == []
    assert warning.endswith("because it has other data of the same name.")


def test_a_run_of_another_version_of_the_workload_is_not_compared(two: Store) -> None:
    written(two, lambda record: {"case": record.case.model_copy(update={"version": 2})})
    grids, (warning,) = compared(two)
    assert grids == []
    assert warning.endswith("because it has version 2 of the workload, not 1.")


def test_runs_with_nothing_in_common_say_so(two: Store) -> None:
    written(two, lambda record: {"case": record.case.model_copy(update={"dataset": "clicks"})})
    grids, warnings = compared(two)
    assert grids == []
    assert warnings == ["The runs have no workload, data set and cluster in common, so nothing is compared."]


def test_a_report_of_two_runs_has_one_heading_and_the_report_of_each(two: Store) -> None:
    written(two)
    runs = [two.invocation(identity=one) for one in ("one", "two")]
    blocks = report_of_runs(two, runs, has_charts=True)
    assert [block.text for block in blocks if isinstance(block, Heading) and block.level == 1] == ["2 runs"]
    of_runs = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    assert of_runs[0] == "The runs side by side"
    assert [text.split(",")[1] for text in of_runs[1:]] == [" run one", " run two"]
    assert any(isinstance(block, Chart) for block in blocks)
