"""Packages that add workloads: what is wrong with one is said with its name."""

from dataclasses import replace
from importlib.metadata import EntryPoint

import pytest

from sparkscale.contract import plugins
from sparkscale.contract.declared import Figure
from sparkscale.contract.errors import ConfigError
from workloads import registry

NOT_A_WORKLOAD = EntryPoint("mine", "os:sep", "sparkscale.workloads")
SAME_NAME = EntryPoint("mine", "workloads.data_parallel.pca:WORKLOAD", "sparkscale.workloads")


@pytest.fixture(autouse=True)
def fresh() -> object:
    yield None
    registry.workloads.cache_clear()


def adding(monkeypatch: pytest.MonkeyPatch, *entries: EntryPoint) -> None:
    monkeypatch.setattr(plugins, "entries", lambda group: [entry for entry in entries if entry.group == group])
    registry.workloads.cache_clear()


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    adding(monkeypatch, NOT_A_WORKLOAD, NOT_A_WORKLOAD)
    with pytest.raises(ConfigError, match=r"Two packages add 'mine' to sparkscale\.workloads"):
        plugins.loaded("sparkscale.workloads")


def test_what_is_no_workload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    adding(monkeypatch, NOT_A_WORKLOAD)
    with pytest.raises(ConfigError, match=r"The entry 'mine' of sparkscale\.workloads is no Workload"):
        registry.workloads()


def test_a_workload_called_as_another_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    adding(monkeypatch, SAME_NAME)
    with pytest.raises(ConfigError, match=r"has the name data_parallel\.pca, which another workload has"):
        registry.workloads()


def test_the_packages_of_all_entries_are_known_once(monkeypatch: pytest.MonkeyPatch) -> None:
    adding(monkeypatch, NOT_A_WORKLOAD, SAME_NAME)
    assert plugins.packages() == ("os", "workloads")


def declaring(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Adds PCA under another name, with changes."""
    mine = replace(registry.own_workloads()["data_parallel.pca"], name="data_parallel.mine", **changes)  # type: ignore[arg-type]
    monkeypatch.setattr(plugins, "loaded", lambda group: {"mine": mine} if group == "sparkscale.workloads" else {})
    registry.workloads.cache_clear()


def test_a_metric_that_others_declare_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    declaring(monkeypatch, figures=(Figure(name="task_skew", unit="apples", metric=True),))
    with pytest.raises(ConfigError, match="declares the metric task_skew, which exists already"):
        registry.workloads()


def test_a_metric_of_all_records_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    declaring(monkeypatch, figures=(Figure(name="time_to_model", metric=True),))
    with pytest.raises(ConfigError, match="declares the metric time_to_model, which exists already"):
        registry.workloads()


def test_what_is_shown_must_be_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    quality = registry.own_workloads()["data_parallel.pca"].quality
    declaring(monkeypatch, quality=replace(quality, beside=("nothing",)))
    with pytest.raises(ConfigError, match="shows nothing, which it does not declare"):
        registry.workloads()


def test_a_pattern_of_the_same_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = registry.own_workloads()["data_parallel.pca"].pattern
    declaring(monkeypatch, pattern=replace(pattern, time_to_model=("fit",)))
    with pytest.raises(ConfigError, match="has another pattern data_parallel"):
        registry.workloads()


def test_every_own_workload_shows_what_it_declares() -> None:
    for workload in registry.own_workloads().values():
        names = {one.name for one in (*workload.description.qualities, *workload.description.figures)}
        assert names >= {*workload.quality.beside, *workload.quality.judged_by.values()}
