"""`sparkscale report` and `sparkscale show --record`: what they write for a store, and what they say to a mistake."""

import base64
import gzip
import json
import platform
import random
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from tests.calling import called
from tests.conftest import Call

RECORDS = Path(__file__).parents[1] / "docs" / "results" / "records"
MOST_BYTES = 3_000_000
ONE_OF_EACH_PATTERN = ("quick", "per-group-speed", "tuning", "inference-tax")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a run of each pattern."""
    out = tmp_path_factory.mktemp("store")
    for name in ONE_OF_EACH_PATTERN:
        assert called("import", str(RECORDS / f"{name}.parquet"), "--out", str(out)).returncode == 0
    return out


@pytest.fixture(scope="module")
def records(store: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(called("export", "--all", "--out", str(store)).stdout)
    return found


def test_one_page_has_runs_of_all_patterns(
    sparkscale: Call, store: Path, records: list[dict[str, Any]], browser: Browser, tmp_path: Path
) -> None:
    runs = list(dict.fromkeys(str(record["invocation"]) for record in records))
    file = tmp_path / "all.html"
    options = [word for run in runs for word in ("--run", run)]
    done = sparkscale("report", *options, "--to", str(file), "--out", str(store))
    assert (done.returncode, done.stdout) == (0, f"Report: {file}\n"), done.stderr
    assert file.stat().st_size < MOST_BYTES
    with opened(browser, file) as page:
        text = page.locator("main").inner_text()
        for expected in ("Is a sample enough?", "Models per second", "Best loss against time", "The Spark tax"):
            assert expected in text
        assert page.locator("h1").inner_text() == f"{len(runs)} runs"
        assert "nothing is compared" in text


@contextmanager
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    """Opens a page, and waits until its figures are drawn. At the end, the browser must have had nothing to say."""
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('figure')].every(one => one.querySelector('svg'))")
    yield page
    assert said == []
    page.close()


def changed(out: Path, change: Callable[[int, dict[str, Any]], dict[str, Any]], run: str, copies: int = 1) -> None:
    """Changes each record of a store, or copies of it, and puts them into one run. Tables stay with their records."""
    with closing(sqlite3.connect(out / "records.sqlite")) as base:
        rows = base.execute("SELECT id, case_id, content FROM records").fetchall()
        tables = base.execute("SELECT record, name, sha256 FROM tables").fetchall()
        base.execute("DELETE FROM tables")
        base.execute("DELETE FROM records")
        for copy in range(copies):
            for identity, case_id, content in rows:
                made = change(copy, {**json.loads(content), "id": f"{copy:08x}{identity[8:]}", "invocation": run})
                values = (made["id"], run, case_id, made["outcome"], json.dumps(made))
                base.execute(
                    "INSERT INTO records (id, invocation, case_id, outcome, content) VALUES (?, ?, ?, ?, ?)", values
                )
            copied = [(f"{copy:08x}{record[8:]}", name, sha256) for record, name, sha256 in tables]
            base.executemany("INSERT INTO tables VALUES (?, ?, ?)", copied)
        base.commit()


def test_cases_without_a_result_are_on_the_first_screen_and_in_their_part(
    sparkscale: Call, records: list[dict[str, Any]], browser: Browser, tmp_path: Path
) -> None:
    """One engine of each pattern fails, runs out of memory, or cannot run here."""
    for name in ONE_OF_EACH_PATTERN:
        assert called("import", str(RECORDS / f"{name}.parquet"), "--out", str(tmp_path)).returncode == 0
    without = {"mllib": "oom", "xgboost-spark": "unsupported", "joblib": "failed", "hyperopt": "timeout"}

    def change(_: int, record: dict[str, Any]) -> dict[str, Any]:
        outcome = without.get(record["case"]["engine"])
        if outcome is None or (outcome == "oom" and record["case"]["fraction"] < 1):
            return record
        error = {"type": "E", "message": f"because {outcome} <b>here</b>"}
        return {**record, "outcome": outcome, "error": error, "seconds": {}, "quality": {}, "figures": {}}

    changed(tmp_path, change, str(records[0]["invocation"]))
    done = sparkscale("report", "--run", str(records[0]["invocation"]), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    with opened(browser, tmp_path / "report.html") as page:
        first = page.locator("section").first.inner_text()
        assert "executions have no result: " in first
        for outcome in without.values():
            assert f" {outcome}" in first
        text = page.locator("main").inner_text()
        assert text.count("Cases of this comparison without a result") > 3
        assert "because oom <b>here</b>" in text
        reasons = [one.get_attribute("aria-label") or "" for one in page.locator("figure .chart").all()]
        assert any("mllib has no result at" in label and "oom: because oom" in label for label in reasons)
        assert any("joblib has no result: failed: because failed" in label for label in reasons)
        assert page.locator("figure .role-mark text", has_text="✕").count() > 3


@pytest.mark.slow
def test_ten_thousand_records_are_a_small_report(
    sparkscale: Call, records: list[dict[str, Any]], browser: Browser, tmp_path: Path
) -> None:
    for name in ONE_OF_EACH_PATTERN:
        assert called("import", str(RECORDS / f"{name}.parquet"), "--out", str(tmp_path)).returncode == 0
    copies = -(-10_000 // len(records))

    def change(copy: int, record: dict[str, Any]) -> dict[str, Any]:
        factor = 1 + random.Random(record["id"]).random() / 10
        seconds = {phase: one * factor for phase, one in record["seconds"].items()}
        return {**record, "round": record["round"] + 100 * copy, "seconds": seconds}

    changed(tmp_path, change, str(records[0]["invocation"]), copies)
    done = sparkscale("report", "--run", str(records[0]["invocation"]), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").stat().st_size < MOST_BYTES
    with opened(browser, tmp_path / "report.html") as page:
        assert "executions are drawn as dots: at most 20 at each point" in page.locator("main").inner_text()


def test_two_runs_of_the_same_work_are_side_by_side(
    sparkscale: Call, store: Path, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    run = str(records[0]["invocation"])
    with (
        closing(sqlite3.connect(store / "records.sqlite")) as base,
        closing(sqlite3.connect(tmp_path / "records.sqlite")) as copy,
    ):
        base.backup(copy)
        (content,) = copy.execute("SELECT content FROM invocations WHERE id = ?", (run,)).fetchone()
        again = {**json.loads(content), "id": "again"}
        copy.execute(
            "INSERT INTO invocations VALUES (?, ?, ?, ?)",
            ("again", again["started_at"], again["suite"], json.dumps(again)),
        )
        rows = copy.execute("SELECT id, case_id, outcome, content FROM records WHERE invocation = ?", (run,))
        for number, (_, case_id, outcome, text) in enumerate(rows.fetchall()):
            identity = f"again-{number}"
            copied = {**json.loads(text), "id": identity, "invocation": "again"}
            copy.execute(
                "INSERT INTO records (id, invocation, case_id, outcome, content) VALUES (?, ?, ?, ?, ?)",
                (identity, "again", case_id, outcome, json.dumps(copied)),
            )
        copy.commit()
    file = tmp_path / "two.md"
    options = ("--run", run, "--run", "again", "--format", "markdown", "--to", str(file))
    done = sparkscale("report", *options, "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    text = file.read_text()
    assert text.startswith("# 2 runs\n\n## The runs side by side\n")
    assert "run 2 over run 1" in text
    rows_compared = [line for line in text.splitlines() if line.startswith("| xgboost | 1 |")]
    assert rows_compared[0].endswith("| 1.00 |")
    images = re.findall(r"\]\(([^)]+\.svg)\)", text)
    assert len(images) > 8
    assert all((tmp_path / image).is_file() for image in images)
    assert done.stdout == f"Figures: {len(images)} in {tmp_path / 'two-figures'}\nReport: {file}\n"


def test_figures_are_also_written_beside_a_page(sparkscale: Call, store: Path, tmp_path: Path) -> None:
    arguments = ("report", "--suite", "tuning", "--figures", str(tmp_path / "figures"))
    done = sparkscale(*arguments, "--to", str(tmp_path / "tuning.html"), "--out", str(store))
    assert done.returncode == 0, done.stderr
    endings = [file.suffix for file in (tmp_path / "figures").iterdir()]
    assert {ending: endings.count(ending) for ending in endings} == {".csv": 2, ".svg": 2, ".png": 2}


HOSTILE = """<img src=x onerror="window.hacked=1">'`&{{ 7 * 7 }}"""


@pytest.mark.slow
def test_a_hostile_table_is_shown_and_an_anonymous_report_does_not_name_it(
    command: Call, browser: Browser, tmp_path: Path
) -> None:
    """A run on a table whose columns and groups have names that are HTML and JavaScript."""
    generator = np.random.default_rng(3)
    rows = 3000
    signal = generator.normal(size=rows)
    columns = {
        f"signal {HOSTILE}": signal,
        f"group {HOSTILE}": [f"{HOSTILE}{number}" for number in generator.integers(0, 100, rows)],
        f"id {HOSTILE}": [f"id-{number}" for number in range(rows)],
        f"label {HOSTILE}": (signal + generator.normal(size=rows) > 0).astype(int),
    }
    (tmp_path / "private").mkdir()
    table = tmp_path / "private" / "script-alert.parquet"
    pd.DataFrame(columns).to_parquet(table)
    out = tmp_path / "out"
    options = ("--data", str(table), "--label", f"label {HOSTILE}", "--group", f"group {HOSTILE}")
    chosen = ("--rounds", "2", "--filter", "workload=gradient_boosting,engine=sklearn,engine=xgboost")
    done = command("run", "--suite", "quick", *options, *chosen, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Report: {out / 'report.html'}\n" in done.stdout
    host = platform.node()
    with opened(browser, out / "report.html") as page:
        text = page.locator("main").inner_text()
        assert f"id {HOSTILE}" in text
        assert page.evaluate("window.hacked") is None
    source = decoded(out / "report.html")
    assert str(tmp_path) not in source
    assert not re.search(rf"\b{re.escape(host)}\b", source)
    assert called("report", "--anonymous", "--to", str(tmp_path / "a.html"), "--out", str(out)).returncode == 0
    with opened(browser, tmp_path / "a.html") as page:
        text = page.locator("main").inner_text()
        assert "table 1" in text
        assert "onerror" not in text
    source = decoded(tmp_path / "a.html")
    for name in ("onerror", "script-alert", str(tmp_path), "private"):
        assert name not in source


def decoded(file: Path) -> str:
    """The text of a page, with its figures, and without the library that draws them."""
    text = file.read_text()
    figures = re.search(r'id="figures">([^<]+)<', text)
    assert figures
    data = gzip.decompress(base64.b64decode(figures[1])).decode()
    return re.sub(r'id="vega">[^<]+<', "", text).replace(figures[1], "") + data


@pytest.mark.parametrize("archive", sorted(file.stem for file in RECORDS.glob("*.parquet")))
def test_the_records_of_the_documentation_have_a_report(sparkscale: Call, archive: str, tmp_path: Path) -> None:
    """Among them are forecasts and crossovers, whose charts have fits and lines across."""
    assert called("import", str(RECORDS / f"{archive}.parquet"), "--out", str(tmp_path)).returncode == 0
    options = ("--figures", str(tmp_path / "figures"), "--out", str(tmp_path))
    done = sparkscale("report", *options)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "figures").glob("*.svg"))
    assert (tmp_path / "report.html").stat().st_size < MOST_BYTES


def test_the_report_lies_beside_the_records(sparkscale: Call, store: Path) -> None:
    done = sparkscale("report", "--suite", "tuning", "--out", str(store))
    assert (done.returncode, done.stdout) == (0, f"Report: {store / 'report.html'}\n")
    assert "<h1" in (store / "report.html").read_text()


def test_a_record_is_printed_by_its_id(sparkscale: Call, store: Path, records: list[dict[str, Any]]) -> None:
    done = sparkscale("show", "--record", str(records[0]["id"]), "--out", str(store))
    assert done.returncode == 0
    assert json.loads(done.stdout)["case"] == records[0]["case"]
    short = sparkscale("show", "--record", str(records[0]["id"])[:8], "--out", str(store))
    assert short.stdout == done.stdout
    several = sparkscale("show", "--record", str(records[0]["id"])[:1], "--out", str(store))
    assert several.returncode == 2
    assert "several records whose ids begin with" in several.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("report", "--suite", "quick", "--run", "x"), "--suite and --run exclude each other"),
        (("report", "--run", "nothing"), "nothing"),
        (("report", "--to", "none/report.html"), "none/report.html cannot be written: No such file or directory."),
        (("show", "--record", "nothing"), "has no record 'nothing'"),
        (("show", "--record", "x", "--run", "y"), "--record excludes --suite and --run"),
    ],
)
def test_a_mistake_is_one_sentence(sparkscale: Call, store: Path, arguments: tuple[str, ...], sentence: str) -> None:
    done = sparkscale(*arguments, "--out", str(store), cwd=store)
    assert done.returncode == 2
    assert done.stdout == ""
    assert sentence in done.stderr
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
