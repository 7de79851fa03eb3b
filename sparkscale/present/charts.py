"""Draws charts with Altair: as SVG images without a browser or network, and as specifications for a report's page."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sparkscale.analysis.blocks import Chart
from sparkscale.present import chart_rows

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

FIT = [4, 3]
"""The dashes of fitted and forecast lines."""

LINE = "#57606a"
"""The colour of lines across a chart. The page replaces it if it is dark."""


def svg(chart: Chart) -> str:
    """Returns the chart as an SVG document, with white behind it.

    Raises ValueError if there are more series than colours and dashes can tell apart.
    """
    import vl_convert

    return str(vl_convert.vegalite_to_svg(specification(chart)))


def png(chart: Chart) -> bytes:
    """Returns the chart as a PNG image, with two pixels for each of SVG's. Raises ValueError as `svg` does."""
    import vl_convert

    return bytes(vl_convert.vegalite_to_png(specification(chart), scale=2))


def specification(chart: Chart, width: int | str = WIDTH, background: str | None = "white") -> dict[str, Any]:
    """Returns the chart as a Vega-Lite specification. `width` is in pixels, or "container" for the page's width.

    The data of the layers are among the specification's `datasets`, by name: "points", "executions", "fits",
    "failed", "edges", "steps", "limits-x" or "limits-y". Raises ValueError if there are more series than colours and
    dashes can tell apart.
    """
    import altair as alt

    series = chart_rows.names(chart)
    if len(series) > MOST:
        raise ValueError(f"{len(series)} lines cannot be told apart.")
    drawing = _Drawing(chart, series)
    layers = [
        layer for name, rows in chart_rows.parts(chart).items() if rows for layer in getattr(drawing, name)(rows)
    ]
    top = alt.layer().properties(title=chart.title, width=width).to_dict(validate=False)
    return {
        **top,
        **({"background": background} if background else {}),
        "height": ROW * len(series) if chart.is_ranking else HEIGHT,
        # Altair would copy and check every layer several times, so it gets none of them
        "layer": [_layer(layer) for layer in layers],
        "datasets": drawing.datasets,
    }


def _layer(drawn: Any) -> dict[str, Any]:
    """Returns a layer without what only a whole specification has. It is not validated: a test does that."""
    specified: dict[str, Any] = drawn.to_dict(validate=False)
    return {key: value for key, value in specified.items() if key not in ("$schema", "config", "datasets")}


class _Drawing:
    """Draws the parts of one chart as layers. Each method takes the rows of the part with its name."""

    def __init__(self, chart: Chart, series: Sequence[str]) -> None:
        import altair as alt

        self.chart = chart
        self.datasets: dict[str, list[dict[str, Any]]] = {}
        # channels as objects: from a text, Altair would search for their class each time
        self.line, self.ends = alt.Detail("line:N"), {"x": alt.X2("high:Q"), "y": alt.Y2("high:Q")}
        self.x = alt.X("x:Q", title=chart.x, scale=_scale(chart.is_log_x))
        self.y = alt.Y("y:Q", title=chart.y, scale=_scale(chart.is_log_y))
        if chart.is_ranking:
            self.x = alt.X("x:Q", title=chart.x, scale=self._scale_of_rows(), axis=alt.Axis(tickCount=6))
            self.y = alt.Y("name:N", title=None, sort=series, axis=alt.Axis(labelLimit=320))
        colours = [COLOURS[number % len(COLOURS)] for number in range(len(series))]
        dashes = [DASHES[number // len(COLOURS)] for number in range(len(series))]
        self.colour = _styled(alt.Color, series, colours, not chart.is_ranking)
        self.dash = _styled(alt.StrokeDash, series, dashes, not chart.is_ranking)
        with_points = {one.name for one in chart.series} | {one.series for one in chart.failed}
        shapes = [
            SHAPES[number % len(SHAPES)] if name in with_points else "stroke" for number, name in enumerate(series)
        ]
        self.shape = _styled(alt.Shape, series, shapes, not chart.is_ranking)
        self.has_fractions = any(one.fractions for one in chart.series)
        fraction = [alt.Tooltip("fraction:N")] if self.has_fractions else []
        self.tip = [alt.Tooltip("name:N", title=" "), alt.Tooltip("x:Q", title=chart.x, format=",.4~g")]
        self.tip += [] if chart.is_ranking else [alt.Tooltip("y:Q", title=chart.y, format=",.4~g")]
        self.tip += fraction

    def _scale_of_rows(self) -> Any:
        """Returns the scale of a ranking. It begins at 0 if values differ much, so that lengths can be compared."""
        import altair as alt

        values = [dot.x for dot in self.chart.dots] + [series.x[0] for series in self.chart.series]
        return alt.Scale(zero=not values or min(values) < max(values) / 2)

    def _data(self, name: str, rows: Sequence[dict[str, Any]]) -> Any:
        """Returns a chart of these rows, which are kept in `datasets`."""
        import altair as alt

        self.datasets[name] = list(rows)
        return alt.Chart(alt.NamedData(name))

    def _base(self, name: str, rows: Sequence[dict[str, Any]]) -> Any:
        return self._data(name, rows).encode(x=self.x, color=self.colour)

    def steps(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        """Yields the bars of a waterfall."""
        bar = self._base("steps", rows).mark_bar(opacity=0.35, height=ROW * 0.6)
        yield bar.encode(x=self._ends("low", "x"), x2=self.ends["x"], y=self.y)

    def fits(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        base = self._base("fits", rows)
        if any("low" in row for row in rows):
            yield base.mark_area(opacity=0.15).encode(y=self._ends("low", "y"), y2=self.ends["y"], detail=self.line)
        yield base.mark_line(strokeDash=FIT, strokeWidth=1.5, opacity=0.8).encode(y=self.y, detail=self.line)

    def limits(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        """Yields lines across the chart with their labels, and bands for their intervals."""
        import altair as alt

        for axis in ("x", "y"):
            own = [row for row in rows if row["axis"] == axis]
            if not own:
                continue
            base = self._data(f"limits-{axis}", own)
            if any("low" in row for row in own):
                band = base.transform_filter("isValid(datum.low)").mark_rect(opacity=0.1, color=LINE)
                yield band.encode(**{axis: self._ends("low", axis), f"{axis}2": self.ends[axis]})
            at = self._ends("value", axis)
            yield base.mark_rule(color=LINE, strokeDash=[1, 2]).encode(**{axis: at})
            turned: dict[str, Any] = (
                {"angle": 270, "align": "right", "dy": -5, "dx": -4} if axis == "x" else {"align": "left", "dy": -5}
            )
            place = {"y": _pixels("y", 0)} if axis == "x" else {"x": _pixels("x", 4)}
            yield base.mark_text(fontSize=10, color=LINE, **turned).encode(
                text=alt.Text("label:N"), **{axis: at}, **place
            )

    def points(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        """Yields the ranges, the lines and the points of the series."""
        base = self._base("points", rows)
        axis = "x" if self.chart.is_ranking else "y"
        ends = {axis: self._ends("low", axis), f"{axis}2": self.ends[axis]}
        if any("low" in row for row in rows):
            yield base.mark_rule(strokeWidth=2, strokeOpacity=0.5).encode(**{"y": self.y, **ends})
        lines = [row for row in rows if "line" in row]
        if lines:
            named = base if len(lines) == len(rows) else base.transform_filter("isValid(datum.line)")
            yield named.mark_line().encode(y=self.y, strokeDash=self.dash, detail=self.line)
        yield base.mark_point(filled=True, size=70, opacity=1).encode(y=self.y, shape=self.shape, tooltip=self.tip)

    def executions(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        """Yields a dot for each execution. Its tooltip also gives the versions of the software."""
        import altair as alt

        base = self._base("executions", rows)
        details = [*self.tip, alt.Tooltip("round:Q"), alt.Tooltip("record:N")]
        if not self.chart.is_ranking and not self.has_fractions and any("fraction" in row for row in rows):
            details.append(alt.Tooltip("fraction:N"))
        if self.chart.versions:
            base = base.transform_calculate(versions=f"({json.dumps(dict(self.chart.versions))})[datum.software]")
            details.append(alt.Tooltip("versions:N"))
        yield base.mark_point(size=18, opacity=0.7).encode(y=self.y, shape=self.shape, tooltip=details)

    def edges(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:
        """Yields a line at each size with which an engine ran out of memory."""
        yield self._base("edges", rows).mark_rule(strokeWidth=2, strokeDash=[8, 3]).encode(tooltip=self._reason)

    def failed(self, rows: Sequence[dict[str, Any]]) -> Iterator[Any]:

        mark = self._base("failed", rows).mark_text(text="✕", fontSize=14, fontWeight="bold")
        if self.chart.is_ranking:
            yield mark.encode(x=_pixels("x", chart_rows.EDGE), y=self.y, tooltip=self._reason)
            return
        for level in sorted({row["level"] for row in rows}):  # so that no mark hides that of another series
            at_level = mark.transform_filter(f"datum.level === {level}")
            yield at_level.encode(y=_pixels("y", level), tooltip=self._reason)

    @property
    def _reason(self) -> list[Any]:
        import altair as alt

        return [self.tip[0], self.tip[1], alt.Tooltip("reason:N", title="no result")]

    def _ends(self, name: str, axis: str) -> Any:
        """Returns the channel of an axis for another column than x or y, such as the lower end of a range."""
        import altair as alt

        if axis == "x" and self.chart.is_ranking:
            return alt.X(f"{name}:Q", title=self.chart.x, scale=self._scale_of_rows(), axis=alt.Axis(tickCount=6))
        if axis == "x":
            return alt.X(f"{name}:Q", title=self.chart.x, scale=_scale(self.chart.is_log_x))
        return alt.Y(f"{name}:Q", title=self.chart.y, scale=_scale(self.chart.is_log_y))


def _pixels(axis: str, pixels: float) -> Any:
    """Returns the channel of an axis for a fixed place, counted from the left or the upper edge of the chart."""
    import altair as alt

    channel: Any = alt.XValue if axis == "x" else alt.YValue
    return channel(pixels)


def _styled(channel: Any, names: Sequence[str], styles: Sequence[Any], has_legend: bool) -> Any:
    """Returns a channel that gives each series its style. All channels share one legend."""
    import altair as alt

    legend = alt.Legend(symbolOpacity=1) if has_legend else None
    return channel(
        "name:N", title=None, sort=names, legend=legend, scale=alt.Scale(domain=list(names), range=list(styles))
    )


def _scale(is_log: bool) -> Any:
    import altair as alt

    return alt.Scale(type="log", nice=False, padding=20) if is_log else alt.Scale(zero=False)
