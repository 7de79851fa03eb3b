"""One clone with one recorded run, for all tests of the history."""

import subprocess
from dataclasses import dataclass

import pytest

from sparkscale.contract.record import RunRecord
from tests.history.cloning import Clone


@dataclass(frozen=True)
class Bench:
    """A recorded run that was interrupted during its first round, and resumed."""

    interrupted: str
    """What the interrupted command said."""
    kept: list[RunRecord]
    """The records after the interruption."""
    had_files: bool
    """True if asv had files after the interruption."""
    other: "subprocess.CompletedProcess[str]"
    """The answer to a resumption with another number of rounds."""
    done: "subprocess.CompletedProcess[str]"
    """The answer to the resumption that recorded the run."""


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def benched(clone: Clone) -> Bench:
    """The suite TINY, recorded with its controls, each timed once: asv knows no machine before."""
    (clone.home / ".asv-machine.json").unlink(missing_ok=True)  # tests of releases may have written it
    interrupted = clone.interrupted_bench()
    kept, had_files = clone.records(), any(clone.asv.glob("**/*.json"))
    other = clone.bench("--resume", "--rounds", "3")
    done = clone.bench("--resume", "--attribute", "repeat=1")
    return Bench(interrupted, kept, had_files, other, done)
