"""Draws charts with Altair: as SVG images without a browser or network, and as specifications for a report's page."""

import math
from collections.abc import Sequence
from typing import Any

from sparkscale.analysis.blocks import Chart

WIDTH, HEIGHT = 560, 300
ROW = 26
"""The height of a row in a ranking, in pixels."""

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

DASHES = [[1, 0], [6, 3], [2, 2]]
"""The first lines are solid. If there are more lines than colours, the next are dashed, and the next dotted."""

MOST = len(COLOURS) * len(DASHES)
"""The number of series that colours and dashes can tell apart."""

SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right"]
"""The shapes of points, so that a reader does not need colours."""

EDGE = 8
"""The distance in pixels between the upper edge of a chart and the marks of cases without a result."""


def svg(chart: Chart) -> str:
    """Returns the chart as an SVG document: a line for each series, and a bar for the range of each point.

    Raises ValueError if there are more series than colours and dashes can tell apart.
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(specification(chart)))


def specification(chart: Chart, width: int | str = WIDTH, background: str | None = "white") -> dict[str, Any]:
    """Returns the chart as a Vega-Lite specification. `width` is in pixels, or "container" for the page's width.

    Raises ValueError if there are more series than colours and dashes can tell apart.
    """
    import altair as alt

    series = names(chart)
    if len(series) > MOST:
        raise ValueError(f"{len(series)} lines cannot be told apart.")
    x = alt.X("x:Q", title=chart.x, scale=_scale(chart.is_log_x))
    y = alt.Y("y:Q", title=chart.y, scale=_scale(chart.is_log_y))
    ends = {"y": alt.Y("low:Q", title=chart.y), "y2": "high:Q"}
    if chart.is_ranking:
        y = alt.Y("name:N", title=None, sort=series, axis=alt.Axis(labelLimit=240))
        ends = {"x": alt.X("low:Q", title=chart.x), "x2": "high:Q", "y": y}
    colour = _styled(alt.Color, series, [COLOURS[number % len(COLOURS)] for number in range(len(series))])
    dash = _styled(alt.StrokeDash, series, [DASHES[number // len(COLOURS)] for number in range(len(series))])
    shape = _styled(alt.Shape, series, [SHAPES[number % len(SHAPES)] for number in range(len(series))])

    def base(points: Sequence[dict[str, Any]]) -> Any:
        return alt.Chart(alt.InlineData(list(points))).encode(x=x, color=colour)

    points = _points(chart)
    lines = [point for point in points if point["is_line"]]
    tip = [alt.Tooltip("name:N", title=" "), alt.Tooltip("x:Q", title=chart.x)]
    tip += [] if chart.is_ranking else [alt.Tooltip("y:Q", title=chart.y)]
    layers = [base(points).mark_rule(strokeWidth=2, opacity=0.5).encode(**ends)]
    if lines:
        layers.append(base(lines).mark_line().encode(y=y, strokeDash=dash, detail="line:N"))
    layers.append(base(points).mark_point(filled=True, size=45, opacity=1).encode(y=y, shape=shape, tooltip=tip))
    if chart.dots:
        executions = [{"name": dot.series, "x": dot.x, "y": dot.y, "details": dot.details} for dot in chart.dots]
        details = [*tip, alt.Tooltip("details:N", title="execution")]
        layers.append(base(executions).mark_point(size=18, opacity=0.7).encode(y=y, shape=shape, tooltip=details))
    if chart.failed:
        without = [{"name": one.series, "x": one.x, "reason": one.reason} for one in chart.failed]
        reason = [tip[0], tip[1], alt.Tooltip("reason:N", title="no result")]
        mark = base(without).mark_text(text="✕", fontSize=14, fontWeight="bold")
        at = {"x": alt.value(EDGE), "y": y} if chart.is_ranking else {"y": alt.value(EDGE)}
        layers.append(mark.encode(**at, tooltip=reason))
    height = ROW * len(series) if chart.is_ranking else HEIGHT
    drawn = alt.layer(*layers).properties(title=chart.title, width=width, height=height)
    if background:
        drawn = drawn.properties(background=background)
    specified: dict[str, Any] = drawn.to_dict()
    return specified


def names(chart: Chart) -> list[str]:
    """Returns the names of the chart's series. Several lines may belong to one of them."""
    return list(dict.fromkeys([*(one.name for one in chart.series), *(one.series for one in chart.failed)]))


def _points(chart: Chart) -> list[dict[str, Any]]:
    return [
        {"name": series.name, "x": x, "y": y, "low": low, "high": high, "is_line": series.is_line, "line": number}
        for number, series in enumerate(chart.series)
        for x, y, low, high in zip(series.x, series.y, series.low or series.y, series.high or series.y, strict=True)
        if all(map(math.isfinite, (x, y, low, high)))
    ]


def _styled(channel: Any, names: Sequence[str], styles: Sequence[Any]) -> Any:
    """Returns a channel that gives each series its style. All channels share one legend."""
    import altair as alt

    return channel("name:N", title=None, sort=names, scale=alt.Scale(domain=list(names), range=list(styles)))


def _scale(is_log: bool) -> Any:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=20) if is_log else alt.Scale(zero=False)
