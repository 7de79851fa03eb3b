"""A run of two rounds: each has every case, with a worker, a JVM and warm-ups of its own."""

import pytest

from sparkscale.contract.record import RunRecord
from tests.measure.conftest import toy_workload
from tests.measure.observing import Silent, measured_in_order, warmups_before
from tests.measure.toy_suites import tiny


def suite(engine: str) -> str:
    return f"""
rounds = 2
{tiny(4000)}
[[measure]]
workload = "data_parallel.toy"
engines = ["{engine}"]
datasets = ["tiny"]
fractions = ["1/2", "1"]
[[measure]]
workload = "data_parallel.toy"
engines = ["{engine}"]
datasets = ["tiny"]
fractions = ["1/2"]
isolate = true
rounds = 1
"""


@pytest.fixture(
    scope="module",
    params=["toy", pytest.param("toy-spark", marks=[pytest.mark.slow, pytest.mark.spark])],
)
def rounds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[list[RunRecord]]:
    """The records of each round of one engine, in the order of their beginnings."""
    with toy_workload():
        records = measured_in_order(tmp_path_factory.mktemp("rounds"), suite(request.param), Silent)
    return [[record for record in records if record.round == number] for number in (1, 2)]


def test_each_round_has_every_case_and_one_has_the_isolated_execution(rounds: list[list[RunRecord]]) -> None:
    for records in rounds:
        measured = [record for record in records if not record.is_warmup and not record.isolated]
        assert sorted(record.case.fraction for record in measured) == [1 / 2, 1]
        assert {record.temperature for record in measured} == {"warm"}
    assert sum(record.isolated for records in rounds for record in records) == 1


def test_each_round_begins_with_a_new_worker_and_the_smallest_sample(rounds: list[list[RunRecord]]) -> None:
    """Though one of them begins with an isolated execution. A node engine's worker ends after it."""
    for records in rounds:
        ends_after_isolated = records[0].isolated and records[0].case.placement == "node"
        alone = 1 if ends_after_isolated else 0
        assert [record.position for record in records] == [*range(alone), *range(len(records) - alone)]
        warmups = [record for record in records if record.is_warmup]
        assert {record.case.fraction for record in warmups} == {1 / 64}
        assert [record.warmed_by for record in records] == warmups_before(records)


def test_each_round_has_a_fresh_jvm_and_a_node_engine_has_none(rounds: list[list[RunRecord]]) -> None:
    jvms = [{record.jvm for record in records} for records in rounds]
    if rounds[0][0].case.placement == "node":
        assert jvms == [{None}, {None}]
    else:
        (first,), (second,) = jvms
        assert None not in (first, second)
        assert first != second
