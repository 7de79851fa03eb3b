"""Packages that add workloads: what is wrong with one is said with its name."""

from importlib.metadata import EntryPoint

import pytest

from sparkscale.contract import plugins
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
    with pytest.raises(ConfigError, match=r"is called data_parallel\.pca, as another is"):
        registry.workloads()


def test_the_packages_of_all_entries_are_known_once(monkeypatch: pytest.MonkeyPatch) -> None:
    adding(monkeypatch, NOT_A_WORKLOAD, SAME_NAME)
    assert plugins.packages() == ("os", "workloads")
