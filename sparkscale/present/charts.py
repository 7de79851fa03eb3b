"""Draws charts as SVG images, with Altair and without a browser or network."""

from typing import Any

from sparkscale.analysis.blocks import Chart

WIDTH, HEIGHT = 560, 300
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

DASHES = [[1, 0], [6, 3], [2, 2]]
"""The first lines are solid. If there are more lines than colours, the next are dashed, and the next dotted."""


def svg(chart: Chart) -> str:
    """Returns the chart as an SVG document: a line for each series, and a bar for the range of each point.

    Raises ValueError if there are more series than colours and dashes can tell apart.
    """
    if len(chart.series) > len(COLOURS) * len(DASHES):
        raise ValueError(f"{len(chart.series)} lines cannot be told apart.")
    import altair as alt
    import vl_convert

    points = [
        {"name": series.name, "x": x, "y": y, "low": low, "high": high}
        for series in chart.series
        for x, y, low, high in zip(series.x, series.y, series.low or series.y, series.high or series.y, strict=True)
    ]
    names = [series.name for series in chart.series]
    x = alt.X("x:Q", title=chart.x, scale=_scale(chart.is_log_x))
    y = alt.Y("y:Q", title=chart.y, scale=_scale(chart.is_log_y))
    styles = [(COLOURS[number % len(COLOURS)], DASHES[number // len(COLOURS)]) for number in range(len(names))]
    colour = alt.Color(
        "name:N", title=None, sort=names, scale=alt.Scale(domain=names, range=[one[0] for one in styles])
    )
    dash = alt.StrokeDash(
        "name:N", title=None, sort=names, scale=alt.Scale(domain=names, range=[one[1] for one in styles])
    )
    base = alt.Chart(alt.InlineData(points)).encode(x=x, color=colour)
    ranges = base.mark_rule(strokeWidth=2, opacity=0.5).encode(y=alt.Y("low:Q", title=chart.y), y2="high:Q")
    drawn = (ranges + base.mark_line(point=True).encode(y=y, strokeDash=dash)).properties(
        title=chart.title, width=WIDTH, height=HEIGHT, background="white"
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))


def _scale(is_log: bool) -> Any:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=20) if is_log else alt.Scale(zero=False)
