"""Two machines on one storage keep apart, and what is left is swept."""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sparkscale.contract.context import Context
from sparkscale.contract.execution import execution_id, machine_of
from workloads.data_parallel.gradient_boosting import WORKLOAD, XGBoost
from workloads.io.execution_folders import ABANDONED_SECONDS, folder_of, sweep


@pytest.fixture
def run(runs: Callable[..., Context]) -> Context:
    return runs(WORKLOAD, XGBoost, 1 / 64)


def written(run: Context, age_seconds: float = 0.0) -> Path:
    folder = Path(folder_of(run, "models"))
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "part.parquet").touch()
    for path in (folder / "deep" / "part.parquet", folder / "deep", folder):
        then = time.time() - age_seconds
        os.utime(path, (then, then))
    return folder


def test_no_machine_removes_what_another_writes(run: Context, tmp_path: Path) -> None:
    run = replace(run, storage=str(tmp_path), execution="aaaaaaaa-1")
    before = written(replace(run, execution="aaaaaaaa-0"))
    theirs = written(replace(run, execution="bbbbbbbb-1"))
    old = written(replace(run, execution="bbbbbbbb-0"), age_seconds=ABANDONED_SECONDS + 60)
    sweep(run, "models")
    assert (before.exists(), theirs.exists(), old.exists()) == (False, True, False)


def test_what_an_earlier_release_left_is_swept_by_its_age(run: Context, tmp_path: Path) -> None:
    """It wrote without an execution's folder."""
    run = replace(run, storage=str(tmp_path))
    file = tmp_path / "models" / run.case.id / "part-00000.parquet"
    file.parent.mkdir(parents=True)
    file.touch()
    sweep(run, "models")
    assert file.exists()
    for path in (file, file.parent):
        then = time.time() - ABANDONED_SECONDS - 60
        os.utime(path, (then, then))
    sweep(run, "models")
    assert not file.parent.exists()


def test_what_is_being_written_out_of_sight_is_not_abandoned(run: Context, tmp_path: Path) -> None:
    """Attempts lie in folders that readers pass over."""
    run = replace(run, storage=str(tmp_path), execution="aaaaaaaa-1")
    theirs = written(replace(run, execution="bbbbbbbb-1"), age_seconds=ABANDONED_SECONDS + 60)
    (theirs / "_attempts").mkdir()
    (theirs / "_attempts" / "part.parquet").touch()
    sweep(run, "models")
    assert theirs.exists()


def test_each_execution_has_a_folder_of_its_own_and_a_changed_case_keeps_it(run: Context) -> None:
    other = replace(run, execution=execution_id())
    assert folder_of(run, "models") != folder_of(other, "models")
    assert machine_of(run.execution) == machine_of(other.execution)
    assert run.with_case(threads=1).execution == run.execution
