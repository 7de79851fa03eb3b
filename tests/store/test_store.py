"""The record store: a real SQLite file."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sparkscale import mounts
from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.store.store import FILE, Store
from tests.builders import invocation, parquet, record


def test_records_come_back_as_they_were_with_their_tables(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation())
        store.add(record("a"), {"scores": parquet([1.0, 2.0])})
        store.add(record("b"), {"scores": parquet([1.0, 2.0])})
    with Store.existing(tmp_path) as store:
        assert store.records("one") == [record("a"), record("b")]
        assert store.table("b", "scores").column("score").to_pylist() == [1.0, 2.0]
        with pytest.raises(KeyError):
            store.table("a", "trials")
    with sqlite3.connect(tmp_path / FILE) as raw:
        assert raw.execute("select count(*) from blobs").fetchone() == (1,)
        assert raw.execute("pragma journal_mode").fetchone() == ("wal",)


def test_records_from_before_starts_and_warm_ups_were_observed_are_read(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation())
        store.add(record("a"), {})
    newer = ("start_seconds", "position", "warmed_by", "deadline_seconds")
    with sqlite3.connect(tmp_path / FILE) as raw:
        for name in newer:
            raw.execute(f"update records set content = json_remove(content, '$.{name}')")
        assert not set(newer) & set(json.loads(raw.execute("select content from records").fetchone()[0]))
    with Store.existing(tmp_path) as store:
        (found,) = store.records()
    assert found == record("a")
    assert (found.start_seconds, found.position, found.warmed_by, found.deadline_seconds) == (None, None, (), None)


def test_a_record_and_its_tables_arrive_together_or_not_at_all(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation())
        with pytest.raises(TypeError):
            store.add(record("a"), {"scores": None})  # type: ignore[dict-item]
        assert store.records() == []


def test_the_latest_invocation_is_found_by_suite_or_id(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.begin(invocation("old", day=1))
        store.begin(invocation("new", day=3))
        store.begin(invocation("other", day=2, suite="standard"))
        assert store.invocation().id == "new"
        assert store.invocation("standard").id == "other"
        assert store.invocation(identity="old").id == "old"
        with pytest.raises(ConfigError, match=r"no run of suite 'asv'"):
            store.invocation("asv")


def test_a_description_is_stored_once(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first = store.describe("host", {"cores": 2})
        assert store.describe("host", {"cores": 2}) == first
        assert store.describe("host", {"cores": 4}) != first
        assert store.description(first).content == {"cores": 2}


def test_what_is_no_store_is_named_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is no database, but somebody's file" * 100)
    with pytest.raises(StoreError, match="cannot be used as a record store"), Store.open(tmp_path):
        pass
    assert (tmp_path / FILE).read_bytes().startswith(b"this is no database")


def test_a_store_of_another_format_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("pragma user_version = 99")
    with pytest.raises(StoreError, match="has format 99"), Store.existing(tmp_path):
        pass


def test_an_absent_store_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sparkscale run"), Store.existing(tmp_path / "nowhere"):
        pass
    assert not (tmp_path / "nowhere").exists()


def test_a_store_that_a_run_is_just_making_has_no_records_yet(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / FILE) as raw:
        raw.execute("create table the_first_of_several (id)")
    with pytest.raises(ConfigError, match="No records"), Store.existing(tmp_path):
        pass
    with Store.open(tmp_path) as store, Store.existing(tmp_path) as seen:
        store.begin(invocation())
        assert seen.invocation().id == "one"


def test_on_a_network_file_system_there_is_no_write_ahead_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite's documentation: "WAL does not work over a network filesystem". A store that has one gets rid of it."""
    here = {mounts.kind_of(tmp_path)}
    for kinds, journal in (
        (mounts.LOCAL - here, "delete"),
        (mounts.LOCAL | here, "wal"),
        (mounts.LOCAL - here, "delete"),
    ):
        monkeypatch.setattr(mounts, "LOCAL", kinds)
        with Store.open(tmp_path) as store:
            if journal == "wal":
                store.begin(invocation())
        with closing(sqlite3.connect(tmp_path / FILE)) as raw:
            assert raw.execute("pragma journal_mode").fetchone() == (journal,)
    with Store.existing(tmp_path) as store:
        assert store.invocation().id == "one"


READ = """
import sys
from pathlib import Path
from sparkscale.store.store import Store
with Store.existing(Path(sys.argv[1])) as store:
    store.table("a", "scores")
"""


def test_a_process_may_end_right_after_it_has_read_a_table(tmp_path: Path) -> None:
    """Arrow's threads aborted it in most tries, when they still held what is Python's."""
    with Store.open(tmp_path) as store:
        store.begin(invocation())
        store.add(record("a"), {"scores": parquet([1.0] * 1000)})
    command = [sys.executable, "-c", READ, str(tmp_path)]
    assert [subprocess.run(command, capture_output=True, check=False).returncode for _ in range(4)] == [0] * 4


@pytest.mark.parametrize("name", ["a%20b", "a?b#c", "a b"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """In the address of a database, % and ? have a meaning."""
    with Store.open(tmp_path / name) as store:
        store.begin(invocation())
    with Store.existing(tmp_path / name) as store:
        assert store.runs() == ["one"]
    assert [path.name for path in tmp_path.iterdir()] == [name]
