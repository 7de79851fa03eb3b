"""Files that the kernel is made to forget: seen page by page."""

import mmap
import os
from pathlib import Path

import pytest

from cluster import pagecache

PAGES = 512


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of some pages, all of them in the page cache."""
    path = tmp_path / "data"
    path.write_bytes(os.urandom(PAGES * mmap.PAGESIZE - 7))
    assert path.read_bytes()
    if pagecache.resident_share([path]) < 0.9:
        pytest.skip("this file system keeps no page cache that can be seen")
    return path


def test_pages_are_counted_one_by_one(file: Path) -> None:
    assert len(pagecache.residency(file)) == PAGES
    pagecache.drop([file])
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no page is read ahead
        assert os.pread(opened.fileno(), 1, PAGES // 2 * mmap.PAGESIZE)
    held = pagecache.residency(file)
    assert held[PAGES // 2]
    assert not held[0]


def test_dropped_pages_are_gone_though_they_had_not_been_written(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to drop the whole page cache."""
    monkeypatch.setattr(pagecache, "DROP_CACHES", file.with_name("absent") / "drop_caches")
    file.write_bytes(os.urandom(PAGES * mmap.PAGESIZE))
    assert pagecache.resident_share([file]) > 0.9
    assert pagecache.drop([file]) <= pagecache.TOLERATED_SHARE
    assert sum(pagecache.residency(file)) <= pagecache.TOLERATED_SHARE * PAGES
    assert file.read_bytes()
    assert pagecache.resident_share([file]) > 0.9


def test_pages_that_a_process_maps_stay_and_are_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagecache, "DROP_CACHES", file.with_name("absent") / "drop_caches")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        touched = [mapped[page * mmap.PAGESIZE] for page in range(PAGES)]
        assert len(touched) == PAGES
        assert pagecache.drop([file]) > 0.9


def test_files_that_stay_have_the_whole_page_cache_dropped_where_that_is_allowed(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = file.with_name("drop_caches")
    monkeypatch.setattr(pagecache, "DROP_CACHES", asked)
    assert pagecache.drop([file]) <= pagecache.TOLERATED_SHARE
    assert not asked.exists()
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert [mapped[page * mmap.PAGESIZE] for page in range(PAGES)]
        pagecache.drop([file])
    assert asked.read_text() == "1"


def test_an_empty_file_has_no_page(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert pagecache.drop([tmp_path / "empty"]) == 0
