"""`sparkscale compare`: formats, exit codes, options, and one sentence for a mistake."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.calling import called
from tests.conftest import Call

RECORDS = Path(__file__).parents[1] / "docs" / "results" / "records"


def copied(folder: Path, to: Path) -> None:
    """Copies the store of a folder into another folder."""
    with (
        closing(sqlite3.connect(folder / "records.sqlite")) as store,
        closing(sqlite3.connect(to / "records.sqlite")) as copy,
    ):
        store.backup(copy)


def changed(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes each record of a store."""
    with closing(sqlite3.connect(folder / "records.sqlite")) as store:
        for identity, content in store.execute("SELECT id, content FROM records").fetchall():
            record = json.loads(content)
            change(record)
            store.execute("UPDATE records SET content = ? WHERE id = ?", (json.dumps(record), identity))
        store.commit()


def longer(record: dict[str, Any]) -> None:
    if record["case"]["engine"] == "mllib":
        record["seconds"] = {phase: 2 * seconds for phase, seconds in record["seconds"].items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with the same run. In the second, MLlib takes twice as long."""
    base, head = (tmp_path_factory.mktemp(name) for name in ("base", "head"))
    for folder in (base, head):
        assert called("import", str(RECORDS / "crossover-boosting.parquet"), "--out", str(folder)).returncode == 0
    changed(head, longer)
    return base, head


def test_a_comparison_is_printed_in_each_format(sparkscale: Call, folders: tuple[Path, Path]) -> None:
    base, head = map(str, folders)
    markdown = sparkscale("compare", base, head, "--format", "markdown", "--metric", "seconds_fit")
    assert markdown.returncode == 1, markdown.stderr
    assert f"# {head} compared with {base}" in markdown.stdout
    rows = [line for line in markdown.stdout.splitlines() if line.startswith("| xgboost | 1 |")]
    assert "| same, exactly |" in rows[0]
    blocks = json.loads(sparkscale("compare", base, head, "--format", "json").stdout)
    assert [block["verdict"] for block in blocks if block["kind"] == "answer"] == ["yes"]
    assert "comparisons worse" in sparkscale("compare", base, head).stdout


def test_the_exit_code_says_whether_something_is_worse(sparkscale: Call, folders: tuple[Path, Path]) -> None:
    base, head = map(str, folders)
    times = ("--metric", "time_to_model")
    assert sparkscale("compare", base, head, *times).returncode == 1
    assert sparkscale("compare", head, base, *times).returncode == 0
    assert sparkscale("compare", base, base, *times).returncode == 0
    assert sparkscale("compare", base, head, *times, "--threshold", "1").returncode == 0
    assert sparkscale("compare", base, head, *times, "--filter", "engine=xgboost*").returncode == 0


def test_too_few_rounds_exit_with_3(sparkscale: Call, folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, head = folders

    def only_two_rounds(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "records.sqlite")) as store:
            store.execute("DELETE FROM records WHERE json_extract(content, '$.round') > 2")
            store.commit()

    for name, source in (("base", base), ("head", head)):
        (tmp_path / name).mkdir()
        copied(source, tmp_path / name)
        only_two_rounds(tmp_path / name)
    done = sparkscale("compare", str(tmp_path / "base"), str(tmp_path / "head"), "--metric", "time_to_model")
    assert done.returncode == 3, done.stderr
    assert "p of 2+2 rounds cannot be below 0.33" in " ".join(done.stdout.split())


def test_two_engines_of_one_run_are_compared(sparkscale: Call, folders: tuple[Path, Path]) -> None:
    base = str(folders[0])
    done = sparkscale(
        "compare", base, "--column", "engine=xgboost,mllib", "--filter", "fraction=1", "--row", "fraction"
    )
    assert done.returncode == 1, done.stderr
    assert f"{base}, mllib compared with {base}, xgboost" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nothing",), "has no run and no commit 'nothing' with records."),
        (("{head}", "--filter", "engine=mllib", "--filter", "fraction=1"), "--filter is given twice: give it once."),
        (("nothing.parquet",), "There is no folder and no file nothing.parquet"),
        (
            ("nothing", "--out", "{head}/empty"),
            "'nothing' is no folder and no file. It could be a run or a commit, but",
        ),
        ((str(RECORDS / "quick.parquet"),), "have no case in common: nothing is compared."),
        ((), "HEAD is missing: name a second side, or compare cases of BASE with --column KEY=A,B."),
        (("--column", "engine=mllib"), "--column engine=mllib does not name two values"),
        (("--column", "colour=a,b"), "--column: unknown property 'colour': choose from workload, dataset"),
        (("--column", "engine=mllib,nobody"), "has no case with engine=nobody: its values of engine are mllib"),
        (("{head}", "--filter", "engine"), "The filter 'engine' is not KEY=VALUE"),
        (("{head}", "--filter", "engine=nobody"), "has no case with engine=nobody: its values of engine are mllib"),
        (("{head}", "--ignore", "colour"), "--ignore: unknown property 'colour'"),
        (("{head}", "--row", "colour"), "--row: unknown property 'colour'"),
        (("{head}", "--ignore", "engine"), "has cases that differ only in engine, which is ignored"),
        (("{head}", "--metric", "second_fit"), "Neither side has a metric 'second_fit': choose from seconds_fit"),
    ],
)
def test_a_mistake_is_one_sentence(
    sparkscale: Call, folders: tuple[Path, Path], arguments: tuple[str, ...], sentence: str
) -> None:
    given = [argument.format(head=folders[1]) for argument in arguments]
    where = () if "--out" in given else ("--out", str(folders[0]))
    done = sparkscale("compare", str(folders[0]), *given, *where)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


def test_another_version_of_a_workload_is_refused_unless_across(
    sparkscale: Call, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    base, _ = folders
    copied(base, tmp_path)
    changed(tmp_path, lambda record: record["case"].update(version=99))
    refused = sparkscale("compare", str(base), str(tmp_path))
    assert refused.returncode == 2
    assert "version 99 of the workload, not " in refused.stderr
    assert "use --across" in refused.stderr
    allowed = sparkscale("compare", str(base), str(tmp_path), "--across", "--format", "markdown")
    assert allowed.returncode == 3, allowed.stderr  # five rounds of small cases are noisy
    assert (
        "**Warning:** The sides differ in more than what is compared: data\\_parallel.gradient\\_boosting"
        in allowed.stdout
    )


def test_other_data_is_compared_across_without_an_error(
    sparkscale: Call, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    """The hold-outs differ, so that qualities are not paired on units."""
    base, _ = folders
    copied(base, tmp_path)
    changed(tmp_path, lambda record: record["case"].update(dataset_id="other"))
    assert "other data of the same name" in sparkscale("compare", str(base), str(tmp_path)).stderr
    allowed = sparkscale("compare", str(base), str(tmp_path), "--across")
    assert allowed.returncode == 3, allowed.stderr
    assert "the sides have other hold-outs" in " ".join(allowed.stdout.split())
