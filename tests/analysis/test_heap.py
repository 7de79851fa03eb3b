"""Which heap is enough, from records with known times."""

from pathlib import Path

import pytest

from sparkscale.analysis.heap import Search, is_enough
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import ErrorInfo, Outcome, RunRecord, SparkMetrics
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import case, invocation, record

MIB = 2**20


def run(heap: int, seconds: float, number: int = 1, outcome: Outcome = "ok", lost: int = 0) -> RunRecord:
    """A warm execution under a heap of so many MiB."""
    made = record(f"{heap}-{seconds}-{number}-{outcome}")
    return made.model_copy(
        update={
            "case": case("mllib", 1.0),
            "round": number,
            "outcome": outcome,
            "error": None if outcome == "ok" else ErrorInfo(type="E", message="Java heap space\nat line 1"),
            "seconds": {"load": seconds / 4, "fit": seconds * 3 / 4, "predict": 1.0} if outcome == "ok" else {},
            "resources": made.resources.model_copy(update={"heap_bytes": heap * MIB}),
            "spark": SparkMetrics(tasks=1, gc_seconds=0.5, executors_lost=lost),
        }
    )


OWN = [run(10_847, seconds, number) for number, seconds in enumerate((7.5, 7.8, 8.3), start=1)]


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([], None),
        ([7.0], None),
        ([7.0, 9.3], True),
        ([9.0, 9.5], None),
        ([9.5, 9.4], False),
        ([9.0, 9.5, 9.3], True),
        ([9.0, 9.5, 12.0], False),
        ([7.0, 7.1, 7.2], True),
        ([9.5, 9.6, 9.7], False),
    ],
)
def test_two_of_three_repeats_decide(times: list[float], verdict: bool | None) -> None:
    """The limit is 1.2 × the median of 7.8 s: 9.36 s."""
    assert is_enough(OWN, [run(600, seconds, number) for number, seconds in enumerate(times)]) is verdict


def test_a_repeat_that_fails_is_enough_to_refuse_a_heap() -> None:
    assert is_enough(OWN, [run(600, 7.0), run(600, 0, 2, "oom")]) is False
    assert is_enough(OWN, [run(600, 7.0), run(600, 7.0, 2, lost=1)]) is False
    with pytest.raises(ValueError, match="no time under"):
        is_enough([run(10_847, 0, 1, "failed")], [run(600, 7.0)])


def test_a_heap_with_times_exactly_at_the_limit_is_enough() -> None:
    """The limit is 1.2 × 10 s. No repeat lies above it, so nothing is due to chance."""
    own = [run(10_847, 10.0, number) for number in (1, 2, 3)]
    assert is_enough(own, [run(600, 12.0, 1), run(600, 12.0, 2)]) is True
    found = Search.of([*own, run(600, 12.0, 1), run(600, 12.0, 2), run(500, 8.0, 1), run(500, 12.0, 2)])
    assert found is not None
    assert found.needed is not None
    assert found.needed.heap_bytes == 500 * MIB
    assert [probe.verdict for probe in found.probes] == ["enough"] * 3
    assert not any(probe.is_torn for probe in found.probes)


def test_the_sentence_names_the_heap_and_what_less_does() -> None:
    slow = [run(580, 10.2, 1), run(580, 10.4, 2)]
    found = Search.of([*OWN, run(612, 8.0, 1), run(612, 8.2, 2), *slow, run(540, 0, 1, "oom")])
    assert found is not None
    assert found.sentences() == [
        "data_parallel.gradient_boosting mllib flights 1 needs a heap of 612 MiB: with it, the time to model stays "
        "within 1.2 × of 7.80 s (7.50–8.30) under 10.6 GiB.",
        "It takes 1.32 × as long at 580 MiB and ends as oom at 540 MiB. The smallest heap lies between 580 MiB and "
        "612 MiB.",
    ]


def test_a_heap_below_one_that_is_too_slow_is_not_named() -> None:
    """A lucky probe below: from the largest down, the first that is not enough ends the search."""
    found = Search.of([*OWN, run(900, 8.0), run(900, 8.1, 2), run(700, 11.0), run(700, 11.1, 2), run(600, 7.0)])
    assert found is not None
    assert found.needed is not None
    assert found.needed.heap_bytes == 900 * MIB
    assert found.sentences()[1].endswith("The smallest heap lies between 700 MiB and 900 MiB.")
    assert found.sentences()[2].startswith("Yet 600 MiB was enough: noise is larger here")


def test_repeats_on_both_sides_of_the_limit_are_said_to_be_noise() -> None:
    found = Search.of([*OWN, run(612, 8.0), run(612, 12.0, 2), run(612, 8.4, 3), run(560, 0, 1, "timeout")])
    assert found is not None
    assert (
        found.sentences()[-1]
        == "At 612 MiB the repeats lie on both sides of the limit, so the result there is due to chance."
    )


def test_where_every_heap_is_enough_the_jvm_itself_is_the_limit() -> None:
    found = Search.of([*OWN, run(470, 8.0), run(470, 8.1, 2)])
    assert found is not None
    assert "needs a heap of 470 MiB or less: with it" in found.sentences()[0]
    assert found.sentences()[1] == "No heap that was tried is too small: Spark starts no JVM with less than 450 MiB."


def test_a_case_that_fails_under_its_own_heap_has_no_answer() -> None:
    found = Search.of([run(10_847, 0, 1, "oom")])
    assert found is not None
    assert found.needed is None
    assert found.sentences() == [
        "data_parallel.gradient_boosting mllib flights 1 ends as oom at 10.6 GiB (Java heap space), the cluster's "
        "own heap. So there is no time to compare with."
    ]
    assert Search.of([]) is None


def test_a_search_is_shown_by_its_id_and_never_as_a_run(tmp_path: Path) -> None:
    """Its probes are one case under many heaps: a table of a run would take their median."""
    with Store.open(tmp_path) as store:
        store.begin(invocation("run", day=1))
        store.begin(invocation("one", day=2).model_copy(update={"command": "heap"}))
        host = store.describe("host", {"cpu": "C", "usable_cores": 2, "memory_bytes": 2**34, "os": "Linux"})
        for made in (*OWN, run(612, 8.0), run(612, 8.2, 2), run(540, 0, 1, "oom")):
            store.add(made.model_copy(update={"host": host}), {})
        assert store.invocation().id == "run"
        assert store.invocation("quick").id == "run"
        assert store.invocation(command="heap").id == "one"
        text = shown(store, store.invocation(identity="one"))
    assert "10.6 GiB (own)" in text
    assert "1.04" in text
    assert "no: ends as oom: Java heap space" in text
    assert "needs a heap of 612 MiB" in text
    assert "Is a sample enough?" not in text


def test_a_store_with_searches_only_has_no_run(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation("one").model_copy(update={"command": "heap"}))
        with pytest.raises(ConfigError, match="There is no run"):
            store.invocation()
