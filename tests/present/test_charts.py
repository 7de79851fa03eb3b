"""Charts as SVG: what is drawn, from the document itself."""

import re
from xml.etree import ElementTree

import pytest

from sparkscale.analysis.blocks import Chart, Series
from sparkscale.present.charts import svg

CHART = Chart(
    "Time against rows",
    "rows",
    "seconds",
    (
        Series("xgboost", (100.0, 1000.0, 10_000.0), (0.1, 1.0, 10.0), (0.05, 0.5, 5.0), (0.2, 2.0, 20.0)),
        Series("mllib", (100.0, 10_000.0), (3.0, 4.0)),
    ),
    is_log_x=True,
    is_log_y=True,
)


def test_a_chart_names_its_axes_and_series() -> None:
    found = "".join(ElementTree.fromstring(svg(CHART)).itertext())
    for text in ("Time against rows", "rows", "seconds", "xgboost", "mllib"):
        assert text in found


def test_points_lie_where_a_logarithmic_scale_puts_them() -> None:
    """Three points that grow tenfold in both directions lie on one straight line, evenly."""
    lines = re.findall(r'aria-roledescription="line mark"[^>]*d="M([^"]+)"', svg(CHART))
    points = [tuple(float(part) for part in point.split(",")) for point in lines[0].split("L")]
    (x1, y1), (x2, y2), (x3, y3) = points
    assert abs((x2 - x1) - (x3 - x2)) < 0.01 < x2 - x1
    assert abs((y2 - y1) - (y3 - y2)) < 0.01 < y1 - y2


def test_a_drawing_is_the_same_each_time() -> None:
    assert svg(CHART) == svg(CHART)


def test_lines_beyond_the_colours_are_dashed() -> None:
    many = Chart("t", "x", "y", tuple(Series(f"engine {n}", (1.0, 2.0), (1.0 + n, 2.0 + n)) for n in range(9)))
    lines = re.findall(r'aria-roledescription="line mark"[^>]*>', svg(many))
    styles = {
        (re.search(r'stroke="([^"]+)"', line), re.search(r'stroke-dasharray="([^"]+)"', line)) for line in lines
    }
    assert len({tuple(part and part[1] for part in style) for style in styles}) == len(lines) == 9


def test_too_many_lines_are_refused() -> None:
    many = Chart("t", "x", "y", tuple(Series(str(n), (1.0,), (1.0,)) for n in range(22)))
    with pytest.raises(ValueError, match="22 lines"):
        svg(many)
