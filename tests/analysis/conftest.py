"""Shared by tests of the analysis."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.store.store import Store
from tests.builders import invocation


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one run, which has no records."""
    with Store.open(tmp_path) as opened:
        opened.begin(invocation())
        yield opened
