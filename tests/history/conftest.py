"""One clone with one recorded run, for all tests of the history."""

import subprocess

import pytest

from tests.history.cloning import Clone


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def benched(clone: Clone) -> "subprocess.CompletedProcess[str]":
    """The suite TINY, recorded with its controls: asv knows no machine before."""
    assert not (clone.home / ".asv-machine.json").exists()
    return clone.bench()
