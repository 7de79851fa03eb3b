"""Records of several runs that may be compared with each other."""

from typing import Any

import pytest

from sparkscale.analysis import known
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store
from tests.builders import NOW, case, invocation, record


class Runs:
    """Adds records to runs of a store; each has its own data, host and software, unless a test says otherwise."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.count = 0
        self.data = store.describe("data", {"name": "flights", "definition": {"label": "late"}})

    def add(self, run: str, number: int, engine: str = "sklearn", **changes: Any) -> RunRecord:
        self.count += 1
        packages = changes.pop("packages", "1.0")
        java = "17" if engine == "mllib" else None
        software = self.store.describe(
            "software", {"python": "3.11", "packages": {"numpy": packages}, "java_version": java}
        )
        made = record(f"r{self.count}", of=run)
        fields = {"case": case(engine, 1.0), "round": number, "data": self.data, "software": software} | changes
        fields["started_at"] = NOW.replace(minute=self.count)
        made = made.model_copy(update=fields)
        self.store.add(made, {})
        return made


@pytest.fixture
def runs(store: Store) -> Runs:
    store.begin(invocation("two", day=2))
    return Runs(store)


def test_rounds_of_two_runs_are_distinct(runs: Runs) -> None:
    for run in ("one", "two"):
        for number in (1, 2):
            runs.add(run, number)
            runs.add(run, number, "mllib")
    found = known.known(runs.store)
    assert [one.round for one in found.records] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert found.runs == ("one", "two")
    assert found.left_out == 0


@pytest.mark.parametrize("changes", [{"host": "other"}, {"packages": "2.0"}])
def test_records_under_other_conditions_are_left_out(runs: Runs, changes: dict[str, str]) -> None:
    runs.add("one", 1, **changes)
    newest = runs.add("two", 1)
    found = known.known(runs.store)
    assert [one.id for one in found.records] == [newest.id]
    assert (found.runs, found.left_out) == (("two",), 1)


def test_another_version_of_a_workload_is_left_out(runs: Runs) -> None:
    runs.add("one", 1, case=case("sklearn", 1.0).model_copy(update={"version": 0}))
    runs.add("two", 1)
    assert known.known(runs.store).left_out == 1


def test_another_profile_of_the_same_name_is_left_out(store: Store) -> None:
    for name, day, cores, price in (("a", 3, 2, None), ("b", 4, 4, None), ("c", 5, 4, {"per_hour": 1.0})):
        profile = store.describe("profile", {"name": "local", "cores": cores, "price": price})
        store.begin(invocation(name, day).model_copy(update={"origin": {"profile 'local'": profile}}))
    runs = Runs(store)
    for name in ("a", "b", "c"):
        runs.add(name, 1)
    found = known.known(store)
    assert (found.runs, found.left_out) == (("b", "c"), 1)  # a price changes no time


def test_another_java_leaves_out_only_what_ran_on_spark(runs: Runs) -> None:
    """Engines on one node have no Java, so their description of software differs from Spark's in any case."""
    old = runs.store.describe("software", {"python": "3.11", "packages": {"numpy": "1.0"}, "java_version": "11"})
    runs.add("one", 1)
    runs.add("one", 1, "mllib", software=old)
    runs.add("two", 1, "mllib")
    found = known.known(runs.store)
    assert [(one.invocation, one.case.engine) for one in found.records] == [("one", "sklearn"), ("two", "mllib")]
    assert found.left_out == 1


def test_a_cold_page_cache_is_another_condition(store: Store) -> None:
    store.begin(invocation("cold", day=3).model_copy(update={"cold_cache": True}))
    runs = Runs(store)
    runs.add("one", 1)
    runs.add("cold", 1)
    found = known.known(store)
    assert (found.runs, found.left_out) == (("cold",), 1)


def test_the_probes_of_a_search_for_a_heap_are_no_measurements(store: Store) -> None:
    """They ran under heaps that are not the profile's."""
    store.begin(invocation("search", day=3).model_copy(update={"command": "heap"}))
    runs = Runs(store)
    runs.add("one", 1)
    runs.add("search", 1)
    found = known.known(store)
    assert (found.runs, found.left_out) == (("one",), 0)


def test_what_decide_measured_counts_like_a_run_and_what_bench_measured_does_not(store: Store) -> None:
    """`bench` has the same seeds in every round."""
    store.begin(invocation("decided", day=3).model_copy(update={"command": "decide"}))
    store.begin(invocation("benched", day=4).model_copy(update={"command": "bench"}))
    runs = Runs(store)
    for run in ("one", "decided", "benched"):
        runs.add(run, 1)
    found = known.known(store)
    assert found.runs == ("one", "decided")
    assert [one.round for one in found.records] == [1, 2]


def test_other_resources_for_the_same_profile_are_left_out(store: Store) -> None:
    """A budget follows from the host, for example from the memory of its control group."""
    for name, day, memory in (("small", 3, 2**33), ("large", 4, 2**34)):
        budget = store.describe("budget", {"cores": 2, "memory_bytes": memory})
        store.begin(invocation(name, day).model_copy(update={"origin": {"budget on 'local'": budget}}))
    runs = Runs(store)
    runs.add("small", 1)
    runs.add("large", 1)
    found = known.known(store)
    assert (found.runs, found.left_out) == (("large",), 1)


def test_a_data_set_is_chosen_by_its_description(runs: Runs) -> None:
    wanted = runs.add("one", 1)
    other = runs.store.describe("data", {"name": "clicks", "definition": {"label": "clicked"}})
    runs.add(
        "two", 1, data=other, case=case("sklearn", 1.0).model_copy(update={"dataset": "clicks", "dataset_id": "x"})
    )
    found = known.known(runs.store, lambda content: content["name"] == "flights")
    assert [one.id for one in found.records] == [wanted.id]
    with pytest.raises(ConfigError, match=r"no records of this data set: .* It has records of clicks, flights\."):
        known.known(runs.store, lambda content: content["name"] == "blobs")


def test_emulated_hosts_are_not_mixed_with_real_ones_of_the_same_name(runs: Runs) -> None:
    """Profiles cannot have such names. So this also holds for records that something else wrote."""
    anywhere = case("mllib", 1.0).model_copy(update={"cluster": "pair"})
    runs.add("one", 1, "mllib", case=anywhere.model_copy(update={"cluster_kind": "standalone"}))
    emulated = runs.add("two", 1, "mllib", case=anywhere.model_copy(update={"cluster_kind": "emulated"}))
    found = known.known(runs.store)
    assert [one.id for one in found.records] == [emulated.id]
    assert found.left_out == 1


def test_one_run_may_be_named(runs: Runs) -> None:
    runs.add("one", 1)
    runs.add("two", 1)
    assert known.of_run(runs.store, "one").runs == ("one",)
    with pytest.raises(ConfigError, match="There is no run three"):
        known.of_run(runs.store, "three")
