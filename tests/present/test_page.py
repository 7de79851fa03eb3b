"""The page of a report in a real browser: what it shows, what it asks for, and what a hostile name does to it."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from sparkscale.analysis.blocks import (
    Chart,
    Failed,
    Heading,
    Limit,
    Series,
    Text,
)
from sparkscale.contract.errors import ConfigError
from sparkscale.history.offline import FETCHED
from sparkscale.present import cells, chart_rows, page
from tests.present.example import HOSTILE, report

AXE = FETCHED / "axe-core" / "axe.min.js"


class Opened:
    """A page that is open in a browser, with everything that it wrote to the console and asked for."""

    def __init__(self, opened: Page, file: Path) -> None:
        self.page = opened
        self.said: list[str] = []
        self.asked: list[str] = []
        opened.on("console", lambda message: self.said.append(message.text))
        opened.on("pageerror", lambda error: self.said.append(str(error)))
        opened.on("request", lambda request: self.asked.append(request.url))
        opened.goto(file.as_uri())
        opened.wait_for_function("[...document.querySelectorAll('figure')].every(one => one.querySelector('svg'))")


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    yield Opened(context.new_page(), page.write(report(), tmp_path / "report.html"))
    context.close()


def test_a_page_asks_for_nothing_and_reports_no_error(opened: Opened) -> None:
    assert opened.said == []
    assert [url.partition(":")[0] for url in opened.asked] == ["file"]


def test_an_engine_that_is_filtered_is_in_no_table_and_no_figure(opened: Opened) -> None:
    row = opened.page.locator("tr[data-engine=mllib]").first
    marks = "[...document.querySelector('figure').querySelectorAll('.role-mark [aria-label*=mllib]')]"
    box = opened.page.get_by_role("checkbox", name="mllib")
    assert row.is_visible()
    assert opened.page.evaluate(f"{marks}.length") > 2
    opened.page.get_by_text("Filter figures and tables").click()
    box.uncheck()
    opened.page.wait_for_function(f"{marks}.length === 0")
    assert not row.is_visible()
    assert opened.page.locator("tr[data-engine=xgboost]").first.is_visible()
    box.check()
    opened.page.wait_for_function(f"{marks}.length > 2")
    assert row.is_visible()
    assert opened.said == []


def test_the_data_of_a_figure_are_a_csv_file(opened: Opened, tmp_path: Path) -> None:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name="Data (CSV)").first.click()
    download.value.save_as(tmp_path / "data.csv")
    rows = list(csv.DictReader((tmp_path / "data.csv").read_text().splitlines()))
    by_part: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in rows:
        by_part[row["part"]].append(row)
    medians = [(row["name"], float(row["x"]), float(row["y"])) for row in by_part["points"]]
    assert medians == [("xgboost", 100, 0.1), ("xgboost", 1000, 1), ("mllib", 100, 3), ("mllib", 1000, 4)]
    assert [(row["record"], row["round"], row["y"]) for row in by_part["executions"]] == [
        ("xgboost", "1", "0.05"),
        ("r2", "2", "0.2"),
    ]
    assert [(row["x"], row["y"]) for row in by_part["failed"]] == [("10000", "")]
    assert [(row["axis"], float(row["value"])) for row in by_part["limits"]] == [("x", 500), ("y", 2)]
    # the command writes the same data
    chart = next(block for block in report() if isinstance(block, Chart))
    written = list(csv.DictReader(io.StringIO(chart_rows.csv(chart))))
    assert sorted(map(_parsed, written)) == sorted(map(_parsed, rows))


def _parsed(row: dict[str, str]) -> list[str]:
    """The cells of a row. Numbers are written alike."""
    numbers = ("x", "y", "low", "high", "value", "round")
    return [f"{float(text):g}" if text and name in numbers else text for name, text in row.items()]


def test_a_fraction_that_is_filtered_is_in_no_table_and_no_figure(opened: Opened) -> None:
    marks = "document.querySelectorAll('figure .role-mark [aria-label*=\"1/4\"]').length"
    row = opened.page.locator('tr[data-fraction="1/4"]').first
    opened.page.get_by_text("Filter figures and tables").click()
    assert opened.page.evaluate(marks) > 2
    assert row.is_visible()
    opened.page.get_by_role("checkbox", name="1/4").uncheck()
    opened.page.wait_for_function(f"{marks} === 0")
    assert not row.is_visible()
    assert opened.page.locator('tr[data-fraction="1"]').first.is_visible()


def test_a_cluster_that_is_filtered_has_no_part(opened: Opened) -> None:
    opened.page.get_by_text("Filter figures and tables").click()
    opened.page.get_by_role("checkbox", name="local").uncheck()
    assert not opened.page.locator("figure").first.is_visible()
    assert opened.page.get_by_role("heading", name="The other cluster").is_visible()
    assert opened.page.get_by_role("heading", name="Answers").is_visible()
    opened.page.get_by_role("checkbox", name="local").check()
    assert opened.page.locator("figure").first.is_visible()


def test_a_figure_is_there_in_words_and_as_a_table(opened: Opened) -> None:
    figure = opened.page.locator("figure").first
    described = figure.locator(".chart").get_attribute("aria-label") or ""
    assert "xgboost from 0.1 to 1" in described
    assert "mllib has no result at 10,000: oom: xgboost" in described
    assert "tolerance xgboost at 2" in described
    figure.get_by_text("The figure as a table").click()
    figure.locator("tbody tr").first.wait_for()
    cells_shown = [row.inner_text().split("\t") for row in figure.locator("tbody tr").all()]
    assert cells_shown[0] == ["xgboost", "100", "0.1", "0.05", "0.2", "–"]
    assert cells_shown[4] == ["mllib", "10,000", "–", "–", "–", "oom: xgboost"]
    assert cells_shown[5:] == [
        ["xgboost", "100", "0.05", "1/4", "1", "xgboost"],
        ["xgboost", "100", "0.2", "1/4", "2", "r2"],
    ]


def test_a_mark_tells_its_round_record_and_versions(opened: Opened) -> None:
    opened.page.locator("figure .role-mark [aria-label*='record: r2']").first.hover(force=True)
    tip = opened.page.locator("#vg-tooltip-element")
    tip.wait_for(state="visible")
    text = tip.inner_text()
    assert ("r2" in text, "1.2.3" in text, "round" in text) == (True, True, True)


SMALL = Chart(
    "Small", "training rows", "AUC given up", (Series("e", (265_960.0,), (0.0004,), (-0.00004,), (0.71234,)),)
)
ONLY_FAILED = Chart(
    "Failed", "rows", "seconds", (), failed=(Failed("a", 100.0, "oom"), Failed("b", 100.0, "timeout"))
)


def test_the_table_of_a_figure_keeps_small_numbers_and_whole_ones(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()
    file = page.write([Heading("Small", 1), SMALL, ONLY_FAILED], tmp_path / "report.html")
    found = Opened(context.new_page(), file)
    for summary in found.page.locator("figure summary").all():
        summary.click()
    found.page.locator("tbody tr").nth(2).wait_for()
    rows = [row.inner_text().split("\t") for row in found.page.locator("tbody tr").all()]
    assert rows == [
        ["e", "265,960", "0.0004", "-0.00004", "0.71234"],
        ["a", "100", "–", "–", "oom"],
        ["b", "100", "–", "–", "timeout"],
    ]
    assert found.said == []
    context.close()


def test_a_figure_that_a_filter_emptied_comes_back(opened: Opened) -> None:
    opened.page.get_by_text("Filter figures and tables").click()
    boxes = opened.page.locator('fieldset[data-by="engine"] input').all()
    empty = opened.page.get_by_text("The filter hides all of this figure.")
    for box in boxes:  # without a pause between them
        box.uncheck()
    empty.first.wait_for()
    assert opened.page.locator("figure svg").count() == 0
    for box in boxes:
        box.check()
    opened.page.wait_for_function("[...document.querySelectorAll('figure')].every(one => one.querySelector('svg'))")
    assert empty.count() == 0
    assert opened.said == []


def test_the_last_of_two_quick_filters_counts(opened: Opened) -> None:
    opened.page.evaluate(
        "document.querySelectorAll('fieldset[data-by=engine] input')"
        ".forEach((box) => (box.checked = false, box.dispatchEvent(new Event('change'))))"
    )
    opened.page.get_by_text("The filter hides all of this figure.").nth(1).wait_for()
    assert opened.page.locator("figure svg").count() == 0


def test_a_line_across_is_hidden_with_the_engine_that_it_is_about(browser: Browser, tmp_path: Path) -> None:
    lines = (Series("a", (1.0, 2.0), (1.0, 2.0)), Series("b", (1.0, 2.0), (2.0, 1.0)), Series("c", (1.0,), (1.0,)))
    limits = (Limit("x", 1.5, "a faster than b", of=("a", "b")), Limit("y", 1.5, "tolerance"))
    context = browser.new_context()
    file = page.write([Heading("Lines", 1), Chart("t", "x", "y", lines, limits=limits)], tmp_path / "report.html")
    found = Opened(context.new_page(), file)
    label = found.page.locator("figure text", has_text="a faster than b")
    assert label.count() == 1
    found.page.get_by_text("Filter figures and tables").click()
    found.page.get_by_role("checkbox", name="b").uncheck()
    label.wait_for(state="detached")
    assert found.page.locator("figure text", has_text="tolerance").count() == 1
    context.close()


def test_steps_of_a_waterfall_are_no_engines_to_filter_by() -> None:
    steps = tuple(Series(name, (1.0,), (0.0,), is_line=False) for name in ("native", "inside Spark"))
    text = page.written([Heading("Tax", 1), Chart("Tax", "s", "", steps, kind="waterfall")])
    assert 'data-by="engine"' not in text


def test_a_browser_without_decompression_is_told_so(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()
    opened = context.new_page()
    opened.add_init_script("delete window.DecompressionStream")
    opened.goto(page.write(report(), tmp_path / "report.html").as_uri())
    opened.get_by_text("This browser cannot draw the figures").wait_for()
    assert opened.locator("tr[data-engine=mllib]").first.is_visible()
    context.close()


def test_figures_of_a_long_report_are_drawn_when_they_are_near(browser: Browser, tmp_path: Path) -> None:
    chart = next(block for block in report() if isinstance(block, Chart))
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(page.write([Heading("Many", 1), *[chart] * 80], tmp_path / "report.html").as_uri())
    opened.wait_for_function("document.querySelector('figure svg')")
    drawn = "document.querySelectorAll('figure svg').length"
    assert opened.evaluate(drawn) < 20
    opened.locator("figure").last.scroll_into_view_if_needed()
    opened.wait_for_function("[...document.querySelectorAll('figure')].at(-1).querySelector('svg')")
    assert opened.evaluate(drawn) < 40
    context.close()


@pytest.mark.parametrize(("form", "start"), [("SVG", b"<svg"), ("PNG", b"\x89PNG")])
def test_a_figure_is_saved_as_a_file(opened: Opened, tmp_path: Path, form: str, start: bytes) -> None:
    with opened.page.expect_download() as download:
        opened.page.get_by_role("button", name=f"Figure ({form})").first.click()
    download.value.save_as(tmp_path / "figure")
    assert (tmp_path / "figure").read_bytes().startswith(start)


def test_names_from_a_users_data_are_shown_and_never_run(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context()
    found = Opened(context.new_page(), page.write(report(HOSTILE), tmp_path / "report.html"))
    found.page.get_by_text("Filter figures and tables").click()
    found.page.get_by_role("checkbox", name="window.hacked").first.uncheck()
    assert found.page.evaluate("window.hacked") is None
    assert found.said == []
    assert len(found.asked) == 1
    text = found.page.locator("main").inner_text()
    assert "<script>window.hacked = 1</script><img src=x" in text
    assert "{{ 7 * 7 }}" in text
    context.close()


def test_a_page_fits_on_a_telephone(browser: Browser, tmp_path: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    found = Opened(context.new_page(), page.write(report(), tmp_path / "report.html"))
    assert found.page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core checks accessibility: `make pages` fetches it")
def test_axe_finds_no_violation(browser: Browser, tmp_path: Path, scheme: str) -> None:
    context = browser.new_context(color_scheme="dark" if scheme == "dark" else "light", bypass_csp=True)
    found = Opened(context.new_page(), page.write(report(), tmp_path / "report.html"))
    for summary in found.page.locator("summary").all():
        summary.click()
    found.page.add_script_tag(path=AXE)
    violations = found.page.evaluate("axe.run().then(found => found.violations)")
    assert [(one["id"], one["nodes"][0]["html"]) for one in violations] == []
    context.close()


def test_an_existing_report_survives_one_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^.*/none/report\.html cannot be written: No such file or directory\.$"):
        page.write(report(), tmp_path / "none" / "report.html")
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be written: Is a directory\.$"):
        page.write(report(), tmp_path / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    for nameless in (Path(), Path("/")):
        with pytest.raises(ConfigError, match=r"cannot be written: Is a directory\.$"):
            page.write(report(), nameless)


def test_blocks_without_a_heading_are_no_report(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^A report must begin with a heading\.$"):
        page.write([Text("alone")], tmp_path / "report.html")


def test_a_ranking_is_described_by_its_values_alone() -> None:
    ranking = next(block for block in report() if isinstance(block, Chart) and block.is_ranking)
    assert chart_rows.summary(ranking) == (
        "Rows per second. rows per second: xgboost 5; mllib 2; sklearn has no result: timeout."
    )
    headings = [column.heading for column in cells.as_grid(ranking).columns]
    assert headings == ["", "rows per second", "from", "to", "no result"]
    assert cells.as_grid(ranking).rows == (
        ("xgboost", 5, 4, 6, None),
        ("mllib", 2, 1, 3, None),
        ("sklearn", None, None, None, "timeout"),
    )
