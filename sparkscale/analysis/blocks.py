"""The blocks of a report: texts and numbers as data. `sparkscale.present` draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sparkscale.analysis.statistics import Interval, Spread

Verdict = Literal["yes", "no", "not resolved"]


def verdict_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Returns "yes" if any of the verdicts is yes, "no" if all are no, and otherwise "not resolved"."""
    if "yes" in verdicts:
        return "yes"
    return "no" if set(verdicts) == {"no"} else "not resolved"


@dataclass(frozen=True)
class Estimated:
    """A value with its interval. `is_doubtful` is true if a warning of the report questions the value."""

    value: float
    interval: Interval | None = None
    is_doubtful: bool = False


Cell = float | int | str | Spread | Estimated | None
"""The value of a table cell: a number, a median with its range, a value with its interval, a text, or None."""


@dataclass(frozen=True)
class Column:
    """A column of a grid.

    `form` is Python's format specification for the column's numbers. They are multiplied by `scale` before they
    are shown. `large` is a limit and a second format, for numbers that reach the limit before they are multiplied.
    `beyond` is the text for an infinite number, such as the seconds of a timeout; "{limit}" in this text becomes
    the limit that was exceeded. If `counts` is true, a cell also says how many executions have a number, unless
    all have one. If a grid is too wide, the column with the highest `priority` number is left out first. Columns
    with priority 0 are never left out.
    """

    heading: str
    form: str = ""
    scale: float = 1.0
    large: tuple[float, str] | None = None
    beyond: str = "infinite"
    counts: bool = False
    is_name: bool = False
    """If true, the cells are names, aligned left."""
    is_text: bool = False
    """If true, the cells are sentences, and lines may be wrapped."""
    is_relative: bool = False
    """If true, an interval is shown as a share of its value: "1.2 ± 3 %"."""
    priority: int = 0


def name(heading: str, priority: int = 0) -> Column:
    """Returns a column of names, aligned left."""
    return Column(heading, is_name=True, priority=priority)


def seconds(heading: str, priority: int = 0) -> Column:
    """Returns a column of seconds.

    A timeout is shown as longer than the limit that was exceeded. A cell also says how many executions have a
    time, unless all have one.
    """
    return Column(heading, ".2f", beyond="> {limit}", counts=True, priority=priority)


def share(heading: str, priority: int = 0) -> Column:
    """Returns a column of shares, shown in percent."""
    return Column(heading, ".0%", priority=priority)


def prose(heading: str, priority: int = 0) -> Column:
    """Returns a column of sentences."""
    return Column(heading, is_text=True, priority=priority)


@dataclass(frozen=True)
class Heading:
    """The heading of a part of the report. The heading of the whole report has level 1.

    `cluster` is the cluster that the part is about. Empty if it is about several clusters or none.
    """

    text: str
    level: int = 2
    cluster: str = ""


@dataclass(frozen=True)
class Text:
    """A paragraph.

    If `is_note` is true, the text explains a table and may be drawn smaller. If `is_code` is true, the text is
    shown unchanged, so that users can copy it.
    """

    text: str
    is_note: bool = False
    is_code: bool = False


@dataclass(frozen=True)
class Warning:
    """A sentence about something that may make a result wrong."""

    text: str


@dataclass(frozen=True)
class Answer:
    """A few sentences that answer a question, and their evidence.

    `verdict` is None if they conclude neither yes, no nor "not resolved". `evidence` lists the ids of the records
    that support them. If the verdict is "not resolved", `would_resolve` says what to measure.

    `question` is the question that is answered, such as "Is a sample enough?". Then `subject` names the work that was
    compared, such as "gradient boosting, 100 trees", and `scope` the data and the hardware. All three are empty if
    the heading above the answer says it.
    """

    text: str
    verdict: Verdict | None = None
    evidence: tuple[str, ...] = ()
    would_resolve: str = ""
    question: str = ""
    subject: str = ""
    scope: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    If `is_grouped` is true, consecutive rows with the same first cell belong together, and this cell is drawn
    once.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    is_grouped: bool = False


@dataclass(frozen=True)
class Series:
    """The points of one engine or line, ascending in x.

    `low` and `high` are the ends of each point's range, or empty. `fractions` holds the fraction of each point, such
    as "1/4", or is empty. If `is_line` is true, a line connects the points.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    fractions: tuple[str, ...] = field(default=(), kw_only=True)
    is_line: bool = field(default=True, kw_only=True)


@dataclass(frozen=True)
class Dot:
    """One execution in a chart. `series` is the name of its series, and `record` is the beginning of its record's id.

    `software` is the id of the description of its software. `Chart.versions` has the versions for each id.
    """

    series: str
    x: float
    y: float
    record: str
    round: int = 1
    fraction: str = ""
    software: str = ""


@dataclass(frozen=True)
class Failed:
    """A case without a result in a chart. It is drawn at the edge, because it has no y.

    If `is_edge` is true, the engine cannot go beyond this x, because it runs out of memory there. A line marks it.
    """

    series: str
    x: float
    reason: str
    fraction: str = ""
    is_edge: bool = False


@dataclass(frozen=True)
class Limit:
    """A straight line across a chart at one x or one y, such as a tolerance. `low` and `high` are its interval.

    `of` names the series that the line is about. Empty if it is about all.
    """

    axis: Literal["x", "y"]
    value: float
    label: str
    low: float | None = None
    high: float | None = None
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """A chart of y over x: series of medians or estimates, with the executions behind them.

    `fits` are fitted or forecast lines. They have no points, and their `low` and `high` are drawn as a band. A fit
    that has the name of a series has its colour.

    In a ranking, each series has one point and a row of its own. `low` and `high` are then the range of x, and y has
    no meaning. A waterfall is a ranking with a bar from the median of each row to that of the next.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    is_log_x: bool = False
    is_log_y: bool = False
    dots: tuple[Dot, ...] = ()
    failed: tuple[Failed, ...] = ()
    fits: tuple[Series, ...] = ()
    limits: tuple[Limit, ...] = ()
    kind: Literal["curves", "ranking", "waterfall"] = "curves"
    note: str = ""
    """A sentence below the chart: what it leaves out or adds up."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """The versions of the software, by the id of its description."""

    @property
    def is_ranking(self) -> bool:
        """True if each series is a row, as in a ranking or in a waterfall."""
        return self.kind != "curves"

    @property
    def is_empty(self) -> bool:
        return not (self.series or self.failed)


Block = Heading | Text | Warning | Answer | Grid | Chart
