"""Charts as SVG images, drawn by Altair without a browser or network."""

from typing import Any

from sparkscale.analysis.blocks import Chart

WIDTH, HEIGHT = 560, 300
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""


def svg(chart: Chart) -> str:
    """Returns the chart as an SVG document: a line for each series, and a bar for each point's range, if any."""
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
    colour = alt.Color("name:N", title=None, sort=names, scale=alt.Scale(domain=names, range=COLOURS[: len(names)]))
    base = alt.Chart(alt.InlineData(points)).encode(x=x, color=colour)
    ranges = base.mark_rule(strokeWidth=2, opacity=0.5).encode(y=alt.Y("low:Q", title=chart.y), y2="high:Q")
    drawn = (ranges + base.mark_line(point=True).encode(y=y)).properties(
        title=chart.title, width=WIDTH, height=HEIGHT, background="white"
    )
    return str(vl_convert.vegalite_to_svg(drawn.to_dict()))


def _scale(is_log: bool) -> Any:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=20) if is_log else alt.Scale(zero=False)
