"""What tables say of memory: of the data, not of imports or of what a heap was allowed."""

import pytest

from sparkscale.analysis import every_metric, memory, metrics
from sparkscale.contract.record import RunRecord
from tests.builders import case, record
from workloads import registry

MIB = 2**20


def measured(
    engine: str, fraction: float, peak: int, baseline: int | None = None, heap: int | None = None
) -> RunRecord:
    """An isolated execution; sizes in MiB."""
    made = record(f"{engine} {fraction} {peak}")
    sizes = {
        "peak_pss_bytes": peak * MIB,
        "baseline_bytes": None if baseline is None else baseline * MIB,
        "heap_bytes": None if heap is None else heap * MIB,
    }
    changed = {"case": case(engine, fraction), "isolated": True, "temperature": "cold"}
    return made.model_copy(update={**changed, "resources": made.resources.model_copy(update=sizes)})


def test_a_sample_of_half_a_megabyte_does_not_need_most_of_the_memory_of_all_data() -> None:
    """The raw peaks say 263 / 315 = 83 %, for both are mostly imports."""
    sample, whole = measured("xgboost", 1 / 64, 263, baseline=250), measured("xgboost", 1.0, 315, baseline=250)
    assert memory.share([sample], [whole]) == pytest.approx(0.2)
    assert memory.shown([sample]) == "13 MiB\n(263 MiB)"
    assert metrics.memory_needed(whole) == 65 * MIB


def test_the_peak_of_a_spark_engine_is_said_under_its_heap_and_has_no_share() -> None:
    small, large = measured("mllib", 1.0, 1_097, 600, heap=700), measured("mllib", 1.0, 2_174, 600, heap=10_240)
    assert memory.shown([small]) == "(1,097 MiB\nunder a heap of 700 MiB)"
    assert memory.shown([large]) == "(2,174 MiB\nunder a heap of 10.0 GiB)"
    assert memory.share([measured("mllib", 1 / 4, 1_900, 600, heap=10_240)], [large]) is None
    assert metrics.memory_needed(large) is None
    assert every_metric.metrics(registry.descriptions())["peak_memory"].samples([large]) == [2_174 * MIB]


def test_records_of_earlier_releases_show_their_peak_only() -> None:
    old = measured("sklearn", 1.0, 384)
    assert memory.shown([old]) == "(384 MiB)"
    assert memory.share([measured("sklearn", 1 / 4, 300)], [old]) is None
    assert memory.shown([]) is None


@pytest.mark.parametrize(("peak", "baseline", "needed"), [(250, 240, 10), (240, 250, 0)])
def test_memory_that_is_needed_is_never_negative(peak: int, baseline: int, needed: int) -> None:
    assert metrics.memory_needed(measured("sklearn", 1.0, peak, baseline)) == needed * MIB
