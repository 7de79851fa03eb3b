"""Folders that cannot be written: one sentence that says which, and what names another."""

import errno
import tempfile
from pathlib import Path

import pytest

from cluster.profile import cache_folder
from sparkscale import places


def test_a_full_disk_is_said_even_where_nobody_names_it() -> None:
    with pytest.raises(OSError, match="No space left") as full, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")
    assert places.sentence(full.value) == (
        "A disk that sparkscale writes to is full: make room there, or use another folder (TMPDIR, XDG_CACHE_HOME, "
        "--out)."
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_the_variable_that_names_the_folder_is_told(number: int) -> None:
    in_cache = OSError(number, "why", str(cache_folder() / "datasets" / "x"))
    assert str(places.sentence(in_cache)).endswith(": name another folder with XDG_CACHE_HOME.")
    in_temporary = OSError(number, "why", tempfile.gettempdir() + "/x")
    assert str(places.sentence(in_temporary)).endswith(": name another folder with TMPDIR.")


def test_arrow_names_the_folder_in_its_message_only() -> None:
    said = OSError(errno.EROFS, "Cannot create directory '/data/x'. Detail: [errno 30] Read-only file system")
    assert str(places.sentence(said)).startswith("/data/x cannot be written, because its file system is read-only: ")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EPERM, "Operation not permitted"),
        OSError(errno.ECONNREFUSED, "Connection refused"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"),
    ],
)
def test_what_is_no_folders_stays_what_it_is(error: OSError) -> None:
    assert places.sentence(error) is None


def test_without_any_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(FileNotFoundError) as missing:
        none()
    assert places.sentence(missing.value) == places.NO_TEMPORARY
    assert "read-only" in str(places.sentence(OSError(errno.EROFS, "why", "/x")))
