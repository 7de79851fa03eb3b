"""Charts as SVG: what is drawn, from the document itself."""

import csv
import io
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from sparkscale.analysis.blocks import Chart, Dot, Failed, Limit, Series
from sparkscale.present import chart_rows, charts
from sparkscale.present.charts import svg
from tests.present.example import CHART, RANKING, WITH_ALL


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


@pytest.mark.parametrize("chart", [CHART, WITH_ALL, RANKING, replace(RANKING, kind="waterfall")])
def test_a_specification_is_valid_vega_lite(chart: Chart) -> None:
    """The specification is assembled without Altair's own checks, which take longer than everything else."""
    import altair as alt

    alt.LayerChart.from_dict(charts.specification(chart))
    assert charts.png(chart).startswith(b"\x89PNG")


def _marks(chart: Chart, role: str) -> list[str]:
    return re.findall(rf'aria-roledescription="{role} mark"[^>]*>', svg(chart))


def test_a_fit_is_dashed_and_has_a_band() -> None:
    assert len(_marks(WITH_ALL, "area")) == 1
    dashed = [line for line in _marks(WITH_ALL, "line") if 'stroke-dasharray="4,3"' in line]
    assert len(dashed) == 1
    assert _marks(CHART, "area") == []


def test_a_size_without_memory_is_an_edge_and_another_failure_is_only_a_mark() -> None:
    edges = [line for line in _marks(WITH_ALL, "rule") if 'stroke-dasharray="8,3"' in line]
    assert len(edges) == 1
    assert svg(WITH_ALL).count("✕") == 2


def test_lines_across_are_labelled_and_an_interval_is_a_band() -> None:
    texts = "".join(ElementTree.fromstring(svg(WITH_ALL)).itertext())
    assert "faster" in texts
    assert "deadline" in texts
    assert len(_marks(WITH_ALL, "rect")) == 1


def test_the_bars_of_a_waterfall_lead_from_one_median_to_the_next() -> None:
    specified = charts.specification(replace(RANKING, kind="waterfall"))
    steps = [(step["name"], step["low"], step["high"]) for step in specified["datasets"]["steps"]]
    assert steps == [("native", 0.0, 2.0), ("spark", 2.0, 5.0)]
    assert "steps" not in charts.specification(RANKING)["datasets"]


def test_a_chart_in_words_names_ranges_failures_and_lines_across() -> None:
    assert chart_rows.summary(WITH_ALL) == (
        "Time against rows. seconds, over rows: xgboost from 0.1 to 10; mllib from 3 to 4; mllib has no result at "
        "20,000: oom: no memory; mllib has no result at 5,000: timeout; faster at 3,000; deadline at 5."
    )


def test_many_executions_are_thinned_and_the_reader_is_told() -> None:
    dots = tuple(Dot("xgboost", 100.0, float(y), f"r{y}", fraction="1/4") for y in range(1000))
    others = tuple(Dot("mllib", 100.0, float(y), f"m{y}", fraction="1/4") for y in range(5))
    chart = replace(CHART, dots=(*dots, *others))
    drawn = charts.specification(chart)["datasets"]["executions"]
    of_many = [row["y"] for row in drawn if row["name"] == "xgboost"]
    assert (len(of_many), min(of_many), max(of_many)) == (chart_rows.MOST_DOTS, 0, 999)
    steps = {after - before for before, after in pairwise(of_many)}
    assert max(steps) - min(steps) <= 1
    assert len(drawn) - len(of_many) == 5
    assert chart_rows.left_out(chart).startswith("25 of 1,005 executions are drawn as dots: at most 20 at each point")
    assert chart_rows.left_out(replace(chart, dots=others)) == ""


def test_executions_that_differ_in_x_are_thinned_by_their_fraction() -> None:
    """In a chart of quality against time, each execution has its own time."""
    by_fraction = {name: [Dot("e", float(x), 0.5, "r", fraction=name) for x in range(50)] for name in ("1/4", "1")}
    chart = Chart("t", "x", "y", (Series("e", (25.5,), (0.5,)),), dots=(*by_fraction["1/4"], *by_fraction["1"]))
    drawn = charts.specification(chart)["datasets"]["executions"]
    assert [row["fraction"] for row in drawn].count("1/4") == chart_rows.MOST_DOTS
    assert len(drawn) == 2 * chart_rows.MOST_DOTS
    ranked = replace(chart, kind="ranking")
    assert len(charts.specification(ranked)["datasets"]["executions"]) == 2 * chart_rows.MOST_DOTS


def test_a_text_in_csv_is_no_formula() -> None:
    chart = Chart("t", "x", "y", (Series("=cmd()", (1.0,), (2.0,)),), failed=(Failed("a", 1.0, "@SUM(1)"),))
    rows = list(csv.DictReader(io.StringIO(chart_rows.csv(chart))))
    assert [row["name"] for row in rows] == ["'=cmd()", "a"]
    assert rows[1]["reason"] == "'@SUM(1)"
    assert rows[0]["x"] == "1.0"


def test_each_series_without_a_result_has_a_level_and_its_own_colour() -> None:
    both = replace(CHART, failed=(Failed("xgboost", 5000.0, "oom"), Failed("mllib", 5000.0, "timeout")))
    marks = re.findall(r'<text[^>]*transform="translate\(([\d.]+),([\d.]+)\)"[^>]*fill="([^"]+)"[^>]*>✕', svg(both))
    assert len(marks) == 2
    (x1, y1, colour1), (x2, y2, colour2) = marks
    assert x1 == x2
    assert y1 != y2
    assert {colour1, colour2} == set(charts.COLOURS[:2])


def test_whole_numbers_of_a_chart_are_exact_in_its_data() -> None:
    chart = Chart("t", "x", "y", (Series("e", (1_234_567.0,), (1.23456789,)),))
    (row,) = csv.DictReader(io.StringIO(chart_rows.csv(chart)))
    assert (float(row["x"]), row["y"]) == (1_234_567.0, "1.23457")


def test_a_number_that_is_not_finite_is_no_mark() -> None:
    chart = replace(
        CHART, dots=(Dot("xgboost", 1.0, float("nan"), "r"),), limits=(Limit("x", float("inf"), "never"),)
    )
    assert {"executions", "limits-x"} & set(charts.specification(chart)["datasets"]) == set()
