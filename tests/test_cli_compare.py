"""`sparkscale compare`: formats, and one sentence for a mistake."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.calling import called
from tests.conftest import Call

RECORDS = Path(__file__).parents[1] / "docs" / "results" / "records"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with the same run. In the second, MLlib takes twice as long."""
    base, head = (tmp_path_factory.mktemp(name) for name in ("base", "head"))
    for folder in (base, head):
        assert called("import", str(RECORDS / "crossover-boosting.parquet"), "--out", str(folder)).returncode == 0
    with closing(sqlite3.connect(head / "records.sqlite")) as store:
        for identity, content in store.execute("SELECT id, content FROM records").fetchall():
            record = json.loads(content)
            if record["case"]["engine"] == "mllib":
                record["seconds"] = {phase: 2 * seconds for phase, seconds in record["seconds"].items()}
            store.execute("UPDATE records SET content = ? WHERE id = ?", (json.dumps(record), identity))
        store.commit()
    return base, head


def test_a_comparison_is_printed_in_each_format(sparkscale: Call, folders: tuple[Path, Path]) -> None:
    base, head = map(str, folders)
    markdown = sparkscale("compare", base, head, "--format", "markdown", "--metric", "seconds_fit")
    assert markdown.returncode == 0, markdown.stderr
    assert f"# {head} compared with {base}" in markdown.stdout
    rows = [line for line in markdown.stdout.splitlines() if line.startswith("| xgboost | 1 |")]
    assert "| same, exactly |" in rows[0]
    blocks = json.loads(sparkscale("compare", base, head, "--format", "json").stdout)
    assert [block["verdict"] for block in blocks if block["kind"] == "answer"] == ["yes"]
    assert "comparisons worse" in sparkscale("compare", base, head).stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing",), "has no run and no commit 'nothing' with records."),
        ((str(RECORDS / "quick.parquet"),), "have no case and no metric in common: nothing is compared."),
    ],
)
def test_a_mistake_is_one_sentence(
    sparkscale: Call, folders: tuple[Path, Path], arguments: tuple[str, ...], sentence: str
) -> None:
    done = sparkscale("compare", str(folders[0]), *arguments, "--out", str(folders[0]))
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_another_version_of_a_workload_is_refused_unless_across(
    sparkscale: Call, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, _ = folders
    with (
        closing(sqlite3.connect(base / "records.sqlite")) as store,
        closing(sqlite3.connect(tmp_path / "records.sqlite")) as other,
    ):
        store.backup(other)
        for identity, content in other.execute("SELECT id, content FROM records").fetchall():
            record = json.loads(content)
            record["case"]["version"] = 99
            other.execute("UPDATE records SET content = ? WHERE id = ?", (json.dumps(record), identity))
        other.commit()
    refused = sparkscale("compare", str(base), str(tmp_path))
    assert refused.returncode == 2
    assert "version 99 of the workload, not " in refused.stderr
    assert "use --across" in refused.stderr
    told = sparkscale("compare", str(base), str(tmp_path), "--across", "--format", "markdown")
    assert told.returncode == 0
    assert (
        "**Warning:** The sides differ in more than what is compared: data\\_parallel.gradient\\_boosting"
        in told.stdout
    )
