"""Tables at every width: no number is broken, and a column that is left out is named."""

import io
import re

import pytest
from rich.console import Console

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Answer, Block, Chart, Column, Estimated, Grid, Heading, Series, Text, Warning
from sparkscale.analysis.statistics import Interval, Spread
from sparkscale.present.terminal import drawn

NUMBERS = ["11.21", "(10.05–20.24)", "0.7123", "[0.7056,", "0.7190]", "265,960", "98.76"]
GRID = Grid(
    "What each engine costs",
    (
        blocks.name("engine"),
        Column("rows", ",", priority=2),
        blocks.seconds("time to model, s\nmedian (range)"),
        Column("AUC on the hold-out\n[95% interval]", ".4f"),
        Column("memory\nneeded, MiB", ".2f", priority=3),
        blocks.prose("reason", priority=1),
    ),
    (
        (
            "hyperopt-sparktrials",
            265_960,
            Spread.of([10.05, 11.21, 20.24]),
            Estimated(0.7123, Interval(0.7056, 0.7190), is_doubtful=True),
            98.76,
            "A long sentence that says why something went as it did and may be wrapped at each of its spaces.",
        ),
        ("xgboost", 265_960, Spread.of([1.0], 3, 300.0), None, None, "short"),
    ),
)


def text(*found: Block, width: int = 150) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(drawn(found))
    return console.export_text()


def test_a_wide_terminal_shows_everything_on_one_line_each() -> None:
    shown = text(GRID, width=200)
    row = next(line for line in shown.splitlines() if "hyperopt-sparktrials" in line)
    for number in NUMBERS:
        assert number in row
    assert "0.7190] !" in row
    assert "1.00 [1 of 3]" in shown
    assert "Not shown" not in shown


@pytest.mark.parametrize("width", [60, 80, 100, 118, 200])
def test_no_number_is_broken_and_what_is_left_out_is_named(width: int) -> None:
    shown = text(GRID, width=width)
    assert max(map(len, shown.splitlines())) <= width
    left_out = next((line for line in shown.splitlines() if line.startswith("Not shown at this width: ")), "")
    for number in NUMBERS:
        column = {"265,960": "rows", "98.76": "memory needed"}.get(number)
        assert number in shown or (column and column in left_out), number


def test_columns_go_from_the_highest_priority_down() -> None:
    left_out = [
        re.findall(r"Not shown at this width: (.*)\.", text(GRID, width=width)) for width in range(160, 40, -1)
    ]
    seen = list(dict.fromkeys(found[0] for found in left_out if found))
    assert seen[0] == "memory needed, MiB"
    assert seen == sorted(seen, key=len), "each leaves out what the one before did, and one more"


def test_each_row_is_a_list_in_a_terminal_too_narrow_for_a_table() -> None:
    shown = text(GRID, width=30)
    assert max(map(len, shown.splitlines())) <= 30
    for number in ("11.21", "(10.05–20.24)", "0.7123"):
        assert number in shown
    assert "engine: hyperopt-sparktrials" in shown


def test_rows_of_one_group_name_it_once() -> None:
    grid = Grid("t", (blocks.name("engine"), Column("n")), (("a", 1), ("a", 2), ("b", 3)), is_grouped=True)
    shown = text(grid)
    assert shown.count("│ a ") == 1
    assert "├" in shown, "a line between groups"


def test_every_kind_of_block_is_drawn() -> None:
    chart = Chart("Time", "rows", "s", (Series("mllib", (1.0, 2.0), (3.0, 4.5), (2.5, 4.0), (3.5, 5.0)),))
    shown = text(Heading("A [heading]"), Text("words"), Warning("beware"), Answer("It is.", "yes"), chart)
    for words in ("A [heading]", "words", "beware", "• It is.", "mllib", "4.5"):
        assert words in shown


def test_a_timeout_is_longer_than_its_limit() -> None:
    spread = Spread.of([280.0, float("inf"), float("inf")], 3, 300.0)
    shown = text(Grid("t", (blocks.name("e"), blocks.seconds("s")), (("a", spread),)))
    assert "> 300 (280.00–> 300) [1 of 3]" in shown
