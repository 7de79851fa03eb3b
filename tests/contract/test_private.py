"""Files are readable only for their user, except those that the user names."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.contract import private
from tests.conftest import Call


@pytest.fixture(params=[0o022, 0o000], ids=["022", "000"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """The umask of the user's shell."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def permissions(path: Path) -> int:
    """The permissions of a new file."""
    path.touch()
    return path.stat().st_mode & 0o777


def test_nested_contexts_restore_the_umask_that_they_found(umask: int, tmp_path: Path) -> None:
    assert private.users_umask() == -1
    with private.for_the_user_only():
        with private.for_the_user_only():
            assert private.users_umask() == umask
            with private.with_users_umask():
                assert permissions(tmp_path / "named") == 0o666 & ~umask
            assert permissions(tmp_path / "inner") == 0o600
        assert private.users_umask() == umask
        assert permissions(tmp_path / "outer") == 0o600
    assert private.users_umask() == -1
    assert permissions(tmp_path / "after") == 0o666 & ~umask


def test_outside_of_a_command_nothing_changes(umask: int, tmp_path: Path) -> None:
    with private.with_users_umask():
        assert permissions(tmp_path / "file") == 0o666 & ~umask


def test_an_exported_file_has_the_permissions_of_the_users_shell(
    umask: int, sparkscale: Call, tmp_path: Path
) -> None:
    published = tmp_path / "others.csv"
    published.write_text("engine,rows,seconds\nmllib,100,9\n")
    out = ["--out", str(tmp_path / "out")]
    assert sparkscale("import", str(published), *out).returncode == 0
    assert sparkscale("export", "--format", "csv", "--to", str(tmp_path / "to.csv"), *out).returncode == 0
    assert (tmp_path / "to.csv").stat().st_mode & 0o777 == 0o666 & ~umask
    stored = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert stored
    assert [path for path in stored if path.stat().st_mode & 0o077] == []
