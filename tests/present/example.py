"""Charts and a report that tests draw and write."""

from dataclasses import replace

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import (
    Answer,
    Block,
    Chart,
    Column,
    Dot,
    Failed,
    Grid,
    Heading,
    Limit,
    Series,
    Text,
    Warning,
)
from sparkscale.analysis.statistics import Spread

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
WITH_ALL = replace(
    CHART,
    dots=(Dot("xgboost", 100.0, 0.07, "abc", 2, "1/4", "s"),),
    failed=(Failed("mllib", 20_000.0, "oom: no memory", is_edge=True), Failed("mllib", 5_000.0, "timeout")),
    fits=(Series("xgboost", (100.0, 100_000.0), (0.1, 100.0), (0.05, 50.0), (0.2, 200.0)),),
    limits=(Limit("x", 3000.0, "faster", 2000.0, 5000.0), Limit("y", 5.0, "deadline")),
    versions={"s": "xgboost 3"},
)
RANKING = Chart(
    "Rows per second",
    "rows per second",
    "",
    (
        Series("native", (2.0,), (0.0,), (1.0,), (3.0,), is_line=False),
        Series("spark", (5.0,), (0.0,), (4.0,), (6.0,), is_line=False),
    ),
    kind="ranking",
)

HOSTILE = """</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">'"`&{{ 7 * 7 }}"""


def report(name: str = "xgboost") -> list[Block]:
    """A report with a block of each kind. `name` is the name of an engine, and is in each text."""
    chart = Chart(
        f"Time {name}",
        f"rows {name}",
        f"seconds {name}",
        (
            Series(name, (100.0, 1000.0), (0.1, 1.0), (0.05, 0.5), (0.2, 2.0), fractions=("1/4", "1")),
            Series("mllib", (100.0, 1000.0), (3.0, 4.0), fractions=("1/4", "1")),
        ),
        is_log_x=True,
        is_log_y=True,
        dots=(Dot(name, 100.0, 0.05, name, 1, "1/4", "s1"), Dot(name, 100.0, 0.2, "r2", 2, "1/4", "s1")),
        failed=(Failed("mllib", 10_000.0, f"oom: {name}", is_edge=True),),
        fits=(Series(name, (100.0, 10_000.0), (0.1, 10.0), (0.05, 5.0), (0.2, 20.0)),),
        limits=(Limit("x", 500.0, f"faster {name}", 300.0, 900.0), Limit("y", 2.0, f"tolerance {name}")),
        note=f"A note on {name}.",
        versions={"s1": f"{name} 1.2.3"},
    )
    ranking = Chart(
        "Rows per second",
        "rows per second",
        "",
        (
            Series(name, (5.0,), (0.0,), (4.0,), (6.0,), is_line=False),
            Series("mllib", (2.0,), (0.0,), (1.0,), (3.0,), is_line=False),
        ),
        failed=(Failed("sklearn", 0.0, "timeout"),),
        kind="ranking",
    )
    grid = Grid(
        f"Costs of {name}",
        (
            blocks.name("engine"),
            blocks.name("fraction"),
            blocks.seconds("time,\ns"),
            blocks.prose("why"),
            Column("AUC", ".3f"),
        ),
        ((name, "1/4", Spread.of([1.0, 2.0]), name, 0.5), ("mllib", "1", None, "slow", 0.25)),
    )
    return [
        Heading(f"suite quick {name}", 1),
        Text(f"on a host {name}"),
        Heading("Answers"),
        Answer(name, "yes", (f"record {name}", "two"), question="Is a sample enough?", subject=name),
        Answer("open", "not resolved", would_resolve=name, question="Is a sample enough?", subject="logistic"),
        Heading(f"data_parallel.{name}", cluster="local"),
        chart,
        ranking,
        grid,
        Text(name, is_note=True),
        Text(name, is_code=True),
        Warning(name),
        Heading("The other cluster", cluster=f"cluster {name}"),
        Text("nothing"),
    ]
