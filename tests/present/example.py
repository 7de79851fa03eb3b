"""Charts that tests draw and write."""

from dataclasses import replace

from sparkscale.analysis.blocks import Chart, Dot, Failed, Limit, Series

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
