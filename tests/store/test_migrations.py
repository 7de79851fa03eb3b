"""Stores of earlier releases: brought to the present format without losing anything.

`format-1.sqlite` was written by `sparkscale run` of commit 9ef7e82, the last one of format 1: small suites with all
four patterns, an engine that no GPU was there for, and time-outs on a cluster.
"""

import json
import re
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sparkscale.analysis.report import report
from sparkscale.contract.errors import StoreError
from sparkscale.present.structured import as_json
from sparkscale.store import migrations
from sparkscale.store.schema import FORMAT
from sparkscale.store.store import FILE, Store
from tests.analysis.reading import printed, shown

WRITTEN = Path(__file__).parent / "format-1.sqlite"
PATTERNS, CLUSTER = "a141c674b662", "f3e9e4943c86"
"""Its runs: of all patterns in local mode, and on a cluster, where a case ran out of time."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(WRITTEN, tmp_path / FILE)
    return tmp_path


def contents(folder: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return {row: json.loads(text) for row, text in connection.execute("SELECT id, content FROM records")}


def version(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_a_store_of_format_1_is_migrated_and_its_records_stay_as_they_were(folder: Path) -> None:
    before = contents(folder)
    assert version(folder) == 1
    with Store.existing(folder) as store:
        records = store.records()
    assert version(folder) == FORMAT
    assert [record.id for record in records] == list(before)
    after = contents(folder)
    for identity, content in after.items():
        described = content.pop("workload")
        assert re.fullmatch("[0-9a-f]{16}", described)
        assert content == before[identity]
    assert {record.case.pattern for record in records} >= {"data_parallel", "per_group", "tuning", "inference"}
    assert all(record.description and record.description.workload == record.case.workload for record in records)
    with Store.existing(folder) as store:
        assert store.records() == records, "a second time nothing changes"


def test_a_migrated_store_is_shown_at_every_width_without_breaking_a_number(folder: Path) -> None:
    """At 80 columns `11.21–20.24` was `11.21–20.2`, and `4` on the next line."""
    number = re.compile(r"[-+]?\d[\d,]*\.?\d*")
    with Store.existing(folder) as store:
        for identity in (PATTERNS, CLUSTER):
            blocks = report(store, store.invocation(identity=identity))
            wide = set(number.findall(printed(blocks, width=400)))
            for width in (80, 118, 200):
                text = printed(blocks, width)
                assert max(map(len, text.splitlines())) <= width
                assert set(number.findall(text)) <= wide, width
            assert len(wide) > 50


def test_answers_come_first_and_name_records_that_exist(folder: Path) -> None:
    with Store.existing(folder) as store:
        blocks = json.loads(as_json(report(store, store.invocation(identity=PATTERNS))))
        known = {record.id for record in store.records()}
    kinds = [block["kind"] for block in blocks]
    assert "answer" in kinds
    assert kinds.index("answer") < kinds.index("grid")
    assert all(set(block["evidence"]) <= known for block in blocks if block["kind"] == "answer")
    assert all(block["evidence"] for block in blocks if block["kind"] == "answer")


def test_a_workload_that_no_release_had_is_described_by_its_records(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE records SET content = replace(content, 'data_parallel.knn', 'mine.nearest')")
        connection.execute("UPDATE records SET content = replace(content, '\"data_parallel_lazy\"', '\"mine\"')")
    with Store.existing(folder) as store:
        found = next(record for record in store.records() if record.case.workload == "mine.nearest")
        text = shown(store, store.invocation(identity=PATTERNS))
    assert found.declared.engines[0].name == "sklearn"
    assert found.declared.phases == ("load", "fit", "predict")
    assert "cannot be shown: this sparkscale has no report 'mine'" in text


def test_a_file_that_cannot_be_written_is_migrated_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def reading_only(path: Any, **named: Any) -> sqlite3.Connection:
        found: sqlite3.Connection = connect(path, **named)
        if path != ":memory:":
            found.execute("PRAGMA query_only=ON")
        return found

    monkeypatch.setattr(sqlite3, "connect", reading_only)
    with Store.existing(folder) as store:
        assert all(record.workload for record in store.records())
        assert "Answers" in shown(store, store.invocation(identity=PATTERNS))
    assert version(folder) == 1
    assert not any("workload" in content for content in contents(folder).values())


def test_a_file_that_cannot_be_written_is_not_written_to_in_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run's records would be lost with the copy."""
    connect = sqlite3.connect

    def reading_only(path: Any, **named: Any) -> sqlite3.Connection:
        found: sqlite3.Connection = connect(path, **named)
        found.execute("PRAGMA query_only=ON")
        return found

    monkeypatch.setattr(sqlite3, "connect", reading_only)
    with pytest.raises(StoreError, match="cannot be brought to the present format"), Store.open(folder):
        pass


def test_an_engine_that_was_renamed_keeps_its_place_in_comparisons(folder: Path) -> None:
    """No description of format 1 has it; its traits follow from its records."""
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE records SET content = replace(content, '\"hyperopt\"', '\"hyperopt-before\"')")
    with Store.existing(folder) as store:
        found = next(record for record in store.records() if record.case.engine == "hyperopt-before")
        assert found.declared.has("hyperopt-before", "judges_on_split")
        assert "hyperopt-before" in shown(store, store.invocation(identity=PATTERNS))


def test_a_workload_of_a_known_pattern_is_judged_by_the_quality_that_it_has(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute(
            "UPDATE records SET content = replace(content, 'data_parallel.gradient_boosting', 'data_parallel.mine')"
        )
    with Store.existing(folder) as store:
        text = shown(store, store.invocation(identity=PATTERNS), width=200)
    assert "data_parallel.mine on small" in text
    assert "AUC on the hold-out" in text


def test_several_threads_may_open_it_at_once(folder: Path) -> None:
    def read() -> None:
        with Store.existing(folder) as store:
            counted.append(len(store.records()))

    counted: list[int] = []
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(counted)) == 1
    assert len(counted) == 4
    assert version(folder) == FORMAT


def test_a_step_that_fails_leaves_the_store_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM records")
        raise sqlite3.DatabaseError("broken")

    before = contents(folder)
    monkeypatch.setitem(migrations.STEPS, 1, broken)
    with pytest.raises(StoreError, match="cannot be brought to the present format"), Store.existing(folder):
        pass
    assert contents(folder) == before
    assert version(folder) == 1


def test_a_run_keeps_the_goals_of_its_suite(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("UPDATE invocations SET suite = 'inference-speed'")
    with Store.existing(folder) as store:
        assert [goal.limit for goal in store.invocation(identity=PATTERNS).goals] == [0.9, 1.6, 1.8, 3.0]
        assert "Goals, round by round" in shown(store, store.invocation(identity=PATTERNS))
