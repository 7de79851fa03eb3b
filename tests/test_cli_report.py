"""`sparkscale report` and `sparkscale show --record`: what they write for a store, and what they say to a mistake."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser

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
def records(store: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(called("export", "--all", "--out", str(store)).stdout)
    return found


def test_one_page_has_runs_of_all_patterns(
    sparkscale: Call, store: Path, records: list[dict[str, object]], browser: Browser, tmp_path: Path
) -> None:
    runs = list(dict.fromkeys(str(record["invocation"]) for record in records))
    file = tmp_path / "all.html"
    options = [word for run in runs for word in ("--run", run)]
    done = sparkscale("report", *options, "--to", str(file), "--out", str(store))
    assert (done.returncode, done.stdout) == (0, f"Report: {file}\n"), done.stderr
    assert file.stat().st_size < MOST_BYTES
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("[...document.querySelectorAll('figure')].every(one => one.querySelector('svg'))")
    assert said == []
    text = page.locator("main").inner_text()
    for expected in ("Is a sample enough?", "Models per second", "Best loss against time", "Rows per second"):
        assert expected in text
    assert page.locator("h1").count() == len(runs)
    page.close()


def test_the_report_lies_beside_the_records(sparkscale: Call, store: Path) -> None:
    done = sparkscale("report", "--suite", "tuning", "--out", str(store))
    assert (done.returncode, done.stdout) == (0, f"Report: {store / 'report.html'}\n")
    assert "<h1" in (store / "report.html").read_text()


def test_a_record_is_printed_by_its_id(sparkscale: Call, store: Path, records: list[dict[str, object]]) -> None:
    done = sparkscale("show", "--record", str(records[0]["id"]), "--out", str(store))
    assert done.returncode == 0
    assert json.loads(done.stdout)["case"] == records[0]["case"]


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
