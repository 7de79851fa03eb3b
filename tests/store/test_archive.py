"""Archives: whole runs in one Parquet file, with all tables or with the little that reports need."""

import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkscale.analysis.patterns import condensed
from sparkscale.analysis.report import report
from sparkscale.contract.errors import ConfigError, StoreError
from sparkscale.contract.record import GROUPS, SCORES, SUMS
from sparkscale.store import archive
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation, parquet, record

Call = Callable[..., "subprocess.CompletedProcess[str]"]

PUBLISHED = Path(__file__).parents[2] / "docs" / "results" / "records" / "tuning.parquet"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A run with scores of two fractions over five rounds, a warm-up, a failed case, and another run."""
    with Store.open(tmp_path / "store") as opened:
        opened.begin(invocation())
        opened.begin(invocation("two", day=2))
        write = Writer(opened)
        write(case("sklearn", 1 / 64), 1, seconds=9.0, temperature="warmup", noise=0.1)
        for number in range(1, 6):
            for fraction, noise in ((1 / 4, 0.2), (1.0, 0.0)):
                write(case("sklearn", fraction, seed=number), number, seconds=fraction * number, noise=noise)
        write(case("mllib", 1.0), 1, outcome="oom", phase="fit")
        opened.add(record("other", of="two"), {})
        yield opened


def test_a_run_comes_back_whole(store: Store, tmp_path: Path) -> None:
    archive.pack(store, ["one"], tmp_path / "run.parquet")
    with archive.unpacked(tmp_path / "run.parquet") as copy:
        assert copy.runs() == ["one"]
        assert copy.invocation() == store.invocation(identity="one")
        assert copy.records() == store.records("one")
        for one in copy.records():
            assert copy.tables(one.id) == store.tables(one.id)
            if one.host != "h":
                assert copy.description(one.host) == store.description(one.host)
        folder = copy.path.parent
    assert not folder.exists()


def test_a_condensed_run_has_the_same_report(store: Store, tmp_path: Path) -> None:
    run = store.invocation(identity="one")
    archive.pack(store, ["one"], tmp_path / "whole.parquet")
    archive.pack(store, ["one"], tmp_path / "small.parquet", condensed)
    assert (tmp_path / "small.parquet").stat().st_size < (tmp_path / "whole.parquet").stat().st_size / 10
    with archive.unpacked(tmp_path / "small.parquet") as copy:
        names = {name for one in copy.records() for name in copy.tables(one.id)}
        assert names == {SUMS}
        assert report(copy, run) == report(store, run)


def test_a_condensed_run_keeps_the_groups_without_a_model() -> None:
    groups = pa.table({"key": ["a", "b"], "outcome": ["ok", "too small"], "error": ["", "3 rows"], "rows": [9, 3]})
    on_groups = case("sklearn", 1.0).model_copy(update={"workload": "per_group.ridge", "pattern": "per_group"})
    one = record("a").model_copy(update={"case": on_groups})
    assert condensed(one.model_copy(update={"temperature": "warmup"}), GROUPS, groups) is None
    found = condensed(one, GROUPS, groups)
    assert found is not None
    assert (found[0], found[1].to_pylist()) == (GROUPS, [{"key": "b", "outcome": "too small", "error": "3 rows"}])
    assert condensed(one, "trials", groups) == ("trials", groups)


def test_runs_are_taken_into_another_store_once(store: Store, tmp_path: Path) -> None:
    archive.pack(store, ["one", "two"], tmp_path / "runs.parquet")
    with Store.open(tmp_path / "theirs") as theirs:
        theirs.begin(invocation("three", day=3))
        theirs.add(record("mine", of="three"), {SCORES: parquet([1.0])})
        assert archive.take(tmp_path / "runs.parquet", tmp_path / "theirs") == ["one", "two"]
        assert theirs.runs() == ["one", "two", "three"]
        assert theirs.records("one") == store.records("one")
        before = theirs.records()
        with pytest.raises(ConfigError, match=r"Run one of .*runs.parquet is already in .*: nothing was imported"):
            archive.take(tmp_path / "runs.parquet", tmp_path / "theirs")
        assert theirs.records() == before


def test_an_imported_run_is_shown_but_never_resumed(store: Store, tmp_path: Path) -> None:
    """A newer run of somebody else must not hide one's own, which was interrupted."""
    archive.pack(store, ["two"], tmp_path / "two.parquet")
    archive.take(tmp_path / "two.parquet", tmp_path / "theirs")
    with Store.existing(tmp_path / "theirs") as theirs:
        theirs.begin(invocation("own", day=1))
        assert theirs.invocation("quick").id == "two"
        assert theirs.invocation("quick").imported
        assert theirs.invocation("quick", command="run").id == "own"
        assert theirs.records_of("quick") == []
        assert theirs.records() == store.records("two")


def test_an_archive_with_one_known_run_brings_none(store: Store, tmp_path: Path) -> None:
    archive.pack(store, ["one", "two"], tmp_path / "both.parquet")
    archive.pack(store, ["two"], tmp_path / "two.parquet")
    archive.take(tmp_path / "two.parquet", tmp_path / "theirs")
    with pytest.raises(ConfigError, match="Run two of"):
        archive.take(tmp_path / "both.parquet", tmp_path / "theirs")
    with Store.existing(tmp_path / "theirs") as theirs:
        assert theirs.runs() == ["two"]


SCHEMA = {"table": pa.string(), "content": pa.string(), "blob": pa.binary()}
FORMAT_2 = {archive.FORMAT_KEY: b"2"}


@pytest.mark.parametrize(
    ("metadata", "columns", "table", "content", "reason"),
    [
        ({}, SCHEMA, "records", "{}", "is no archive of runs"),
        ({archive.FORMAT_KEY: b"99"}, SCHEMA, "records", "{}", "has format 99"),
        ({archive.FORMAT_KEY: b"two"}, SCHEMA, "records", "{}", "is a damaged archive"),
        (FORMAT_2, SCHEMA, "sqlite_master", '{"name": "a"}', "is a damaged archive: 'sqlite_master'"),
        (FORMAT_2, SCHEMA, "records", "no JSON", "is a damaged archive"),
        (FORMAT_2, SCHEMA, "records", '{"secret": 1}', "is a damaged archive"),
        (FORMAT_2, SCHEMA, "records", '{"id": "a"}', "is a damaged archive"),
        (FORMAT_2, SCHEMA, "records", "[]", "is a damaged archive"),
        (FORMAT_2, {"table": pa.string()}, "records", "{}", "is a damaged archive"),
    ],
)
def test_a_file_that_is_no_archive_is_refused(
    tmp_path: Path,
    metadata: dict[bytes, bytes],
    columns: dict[str, pa.DataType],
    table: str,
    content: str,
    reason: str,
) -> None:
    schema = pa.schema(list(columns.items()), metadata=metadata)
    values = {"table": [table], "content": [content], "blob": [None]}
    pq.write_table(pa.table([values[name] for name in columns], schema=schema), tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match=reason):
        archive.take(tmp_path / "other.parquet", tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_records_that_this_release_cannot_read_are_not_imported(store: Store, tmp_path: Path) -> None:
    """A run with a field of a later release would break every `show`, for the newest run is read first."""
    with closing(sqlite3.connect(store.path)) as raw:
        raw.execute("UPDATE invocations SET content = json_set(content, '$.later', 1) WHERE id = 'two'")
        raw.commit()
    with closing(sqlite3.connect(store.path)) as raw:
        rows = raw.execute("SELECT id, started_at, suite, content FROM invocations WHERE id = 'two'").fetchall()
    columns = ("id", "started_at", "suite", "content")
    content = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    schema = pa.schema(list(SCHEMA.items()), metadata=FORMAT_2)
    pq.write_table(pa.table([["invocations"], content, [None]], schema=schema), tmp_path / "later.parquet")
    with pytest.raises(ConfigError, match="records that this sparkscale cannot read: update sparkscale"):
        archive.take(tmp_path / "later.parquet", tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_files_that_cannot_be_read_or_written_are_named(store: Store, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no Parquet")
    for name in ("text.parquet", "absent.parquet"):
        with pytest.raises(ConfigError, match=f"{name} cannot be read as an archive of runs"):
            archive.take(tmp_path / name, tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
    with pytest.raises(ConfigError, match="cannot be written"):
        archive.pack(store, ["one"], tmp_path / "absent" / "run.parquet")


def test_an_import_that_fails_half_way_leaves_nothing(store: Store, tmp_path: Path) -> None:
    archive.pack(store, ["one"], tmp_path / "run.parquet")
    with Store.open(tmp_path / "theirs") as theirs:
        with closing(sqlite3.connect(theirs.path)) as raw:
            raw.execute("CREATE TRIGGER full BEFORE INSERT ON tables BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
            raw.commit()
        with pytest.raises(StoreError, match=r"cannot be imported into .*, which is unchanged: disk is full"):
            archive.take(tmp_path / "run.parquet", tmp_path / "theirs")
        assert theirs.runs() == []
        assert theirs.records() == []


def test_a_record_that_is_there_already_is_never_replaced(store: Store, tmp_path: Path) -> None:
    """Its tables would become those of another record."""
    archive.pack(store, ["two"], tmp_path / "two.parquet")
    with Store.open(tmp_path / "theirs") as theirs:
        theirs.begin(invocation("three", day=3))
        theirs.add(record("other", of="three"), {})
        with pytest.raises(StoreError, match="UNIQUE"):
            archive.take(tmp_path / "two.parquet", tmp_path / "theirs")
        assert theirs.runs() == ["three"]


def test_an_archive_is_imported_shown_and_exported_by_commands(tmp_path: Path, sparkscale: Call) -> None:
    out, copy = tmp_path / "a b", tmp_path / "copy.parquet"
    done = sparkscale("import", str(PUBLISHED), "--out", str(out))
    assert done.returncode == 0, done.stderr
    first, show = done.stderr.splitlines()
    assert first == f"Imported 1 run into {out}."
    (command,) = re.findall(r"`sparkscale (.*)`", show)
    shown = sparkscale(*shlex.split(command))
    assert shown.returncode == 0, shown.stderr
    assert "Answers" in shown.stdout
    done = sparkscale("export", "--format", "archive", "--condensed", "--to", str(copy), "--out", str(out))
    assert (done.returncode, done.stdout) == (0, "")
    assert sparkscale("import", str(copy), "--out", str(tmp_path / "again")).returncode == 0
    with Store.existing(out) as store, Store.existing(tmp_path / "again") as again:
        assert [record.id for record in again.records()] == [record.id for record in store.records()]


def test_options_that_do_not_fit_are_one_sentence(tmp_path: Path, sparkscale: Call) -> None:
    out = tmp_path / "out"
    assert sparkscale("import", str(PUBLISHED), "--out", str(out)).returncode == 0
    done = sparkscale("export", "--condensed", "--out", str(out))
    assert (done.returncode, done.stderr) == (2, "Error: --condensed needs --format archive.\n")
    done = sparkscale("export", "--format", "archive", "--out", str(out))
    assert done.returncode == 2
    assert done.stderr == "Error: An archive is binary: name a file with --to FILE.parquet.\n"
