"""asv's pages in a real browser, two commits of a history on them."""

import json
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from sparkscale.history.offline import FETCHED
from tests.history.cloning import ROOT, Clone
from tests.history.conftest import Bench

pytestmark = [pytest.mark.spark, pytest.mark.slow]  # the recorded run takes a minute

SCREENSHOTS = ROOT / ".asv" / "screenshots"
"""Kept for a person to look at; not tracked."""

PLOT = "$('#main-graph').data('plot')"

needs_pages = pytest.mark.skipif(
    not FETCHED.is_dir(), reason="asv's pages load scripts from the Internet: `make pages` fetches them"
)


@pytest.fixture(scope="module")
def history(clone: Clone, benched: Bench) -> Clone:
    """Two commits, recorded and published."""
    assert benched.done.returncode == 0
    shutil.copytree(FETCHED, clone.root / ".asv" / "pages" / "node_modules")
    clone.commit("another")
    done = clone.bench("--rounds", "1", "--bench", "gradient_boosting")
    assert done.returncode == 0, done.stdout + done.stderr
    published = clone.run("asv", "publish")
    assert published.returncode == 0, published.stdout + published.stderr
    return clone


@pytest.fixture(scope="module")
def address(history: Clone) -> Iterator[str]:
    """The pages, served on loopback."""
    html = history.root / "results" / "html"
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(html), "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout
        found = server.stdout.readline().split("(")[1].split(")")[0]
        for _ in range(50):
            try:
                urllib.request.urlopen(found, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield found
        server.terminate()


@needs_pages
def test_the_grid_lists_every_benchmark(browser: Browser, address: str, history: Clone) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    outside: list[str] = []
    page.on("request", lambda request: outside.append(request.url) if "127.0.0.1" not in request.url else None)
    page.goto(address)
    page.wait_for_selector("#summarygrid-display .benchmark-text")
    listed = {element.inner_text() for element in page.query_selector_all("#summarygrid-display .benchmark-text")}
    page.screenshot(path=_kept("grid.png"), full_page=True)
    page.close()
    known = json.loads((history.asv / "benchmarks.json").read_text())
    assert listed == {benchmark["pretty_name"] for name, benchmark in known.items() if name != "version"}
    assert {"data-parallel: time to model", "control: a small fit, timed by asv"} <= listed
    assert outside == []


@needs_pages
def test_a_graph_shows_its_points_its_axis_and_its_unit(browser: Browser, address: str, history: Clone) -> None:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.goto(f"{address}#data_parallel.DataParallel.track_time_to_model")
    page.wait_for_selector("#main-graph canvas.flot-base")
    page.wait_for_function(f"{PLOT} && {PLOT}.getData().length > 1")
    series = page.evaluate(f"{PLOT}.getData().map(s => [s.label, s.data.map(p => p[1]).filter(y => y !== null)])")
    axes = page.evaluate(f"['xaxis', 'yaxis'].map(name => {PLOT}.getAxes()[name].options.axisLabel)")
    text = page.inner_text("body")
    page.screenshot(path=_kept("graph.png"), full_page=True)
    page.close()
    points = {label: values for label, values in series if values and "scikit-learn-" not in label}
    assert len(points) == 3  # two engines on one fraction, and one of them on another
    assert all(len(values) == 2 for values in points.values())  # of two commits
    assert all(0 < value < 100 for values in points.values() for value in values)
    assert any("gradient_boosting/xgboost learning_rate=0.3 trees=10" in label for label in points)
    for word in ("engine", "fraction", "flights (327,346 rows)", "1/64", "here-local", "x-axis"):
        assert word in text
    assert axes == ["commits", "milliseconds"]
    assert (history.root / "results" / "html" / "local" / "jquery-3.3.1.min.js").is_file()


def _kept(name: str) -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS / name
