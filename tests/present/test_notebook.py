"""A report in a notebook: the same page, in a frame."""

from pathlib import Path

from playwright.sync_api import Browser

from sparkscale.present.notebook import Results
from tests.present.example import HOSTILE, report


def test_a_notebook_shows_the_same_page_in_a_frame(browser: Browser, tmp_path: Path) -> None:
    results = Results(tuple(report(HOSTILE)))
    file = tmp_path / "cell.html"
    file.write_text(f"<!doctype html><title>cell</title>{results._repr_html_()}")
    context = browser.new_context()
    opened = context.new_page()
    opened.goto(file.as_uri())
    frame = opened.frame_locator("iframe")
    frame.locator("figure svg").first.wait_for(state="attached")
    assert frame.locator("figure").count() == 2
    assert "<script>window.hacked = 1</script>" in frame.locator("main").inner_text()
    assert [one.evaluate("window.hacked") for one in opened.frames] == [None, None]
    assert "## The other cluster" in results._repr_markdown_()
    frame.get_by_text("Parts of the report").click()
    frame.locator("nav a").last.click()
    assert frame.locator("h2", has_text="The other cluster").evaluate("one => document.activeElement === one")
    assert frame.locator("figure").count() == 2
    assert repr(results) == "Results()"
    context.close()
