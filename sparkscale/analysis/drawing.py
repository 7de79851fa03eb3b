"""What every table of a terminal is drawn with."""

import math
from collections.abc import Callable

from rich.table import Table

from sparkscale.analysis.statistics import Spread

NOTHING = "–"


def table(title: str, *columns: str, left: int = 1, prose: str = "") -> Table:
    """The first `left` columns hold names, the next numbers, and the last, if it is `prose`, text that may wrap."""
    drawn = Table(title=title, title_justify="left", title_style="", header_style="bold")
    for number, column in enumerate(columns):
        name = number < left
        drawn.add_column(column, justify="left" if name else "right", no_wrap=name, overflow="fold")
    if prose:
        drawn.add_column(prose, overflow="fold")
    return drawn


def seconds(found: Spread | None) -> str:
    """Median and range. A timeout is longer than its limit, and executions without a time are counted: "1 of 3"."""
    limit = "any" if found is None or found.limit is None else f"{found.limit:g}"
    return _censored(found, "{:.2f}".format, f"> {limit}")


def rate(found: Spread | None, number: Callable[[float], str]) -> str:
    """Median and range of what was done in a second, timeouts included as slower than any."""
    return _censored(found, number, "timeout")


def _censored(found: Spread | None, number: Callable[[float], str], beyond: str) -> str:
    """Median and range, with `beyond` for what is infinite, and with how many executions have a number if some have
    none.
    """
    if found and not found.known:
        return f"{beyond} [0 of {found.executions}]"
    text = spread(found, lambda value: number(value) if math.isfinite(value) else beyond)
    return f"{text} [{found.known} of {found.executions}]" if found and found.is_censored else text


def share(found: Spread | None) -> str:
    return spread(found, "{:.0%}".format)


def spread(found: Spread | None, number: Callable[[float], str]) -> str:
    """Median and range; one sample has no range."""
    if found is None:
        return NOTHING
    median = number(found.median)
    return f"{median} ({number(found.low)}–{number(found.high)})" if found.count > 1 else median
