"""What `decide` shows while it measures: lines, or a picture on a terminal."""

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from sparkscale.analysis.questions.decide.grid import GridCell, Piece, Standing, Step
from sparkscale.decide.live import LiveView, StepLines, clock, pieces_text
from tests import builders


def cell(engine: str, fraction: float = 1 / 64, **fields: Any) -> GridCell:
    usual: dict[str, Any] = {
        "key": f"{engine} {fraction}",
        "workload": "data_parallel.toy",
        "engine": engine,
        "placement": "node",
        "cluster": "local",
        "device": "cpu",
        "fraction": fraction,
        "rows": int(6400 * fraction),
        "parameter_set": "aligned",
        "threads": 2,
        "cores": 2,
        "rounds": 8,
        "worker": "node",
    }
    return GridCell(**usual | fields)


OPEN = Standing("engine", "not resolved", "xgboost", "xgboost is faster.", "0.97 (0.88–1.07), 5 rounds", ())
RESOLVED = Standing("engine", "yes", "xgboost", "xgboost is faster.", "", ())
STEP = Step((Piece(cell("xgboost"), 2), Piece(cell("sklearn", 1.0), 2)), 12.0, 30.0, "a verdict hangs on noise")


@pytest.fixture
def screen() -> Iterator[io.StringIO]:
    with io.StringIO() as text:
        yield text


def test_a_clock_has_minutes_and_from_an_hour_on_hours() -> None:
    assert [clock(seconds) for seconds in (-1, 5, 185, 3725)] == ["0:00", "0:05", "3:05", "1:02:05"]


def test_pieces_are_named_by_engine_fraction_and_round() -> None:
    pieces = [Piece(cell("sklearn"), 1), Piece(cell("xgboost", 1 / 4), 1), Piece(cell("xgboost"), 1)]
    assert pieces_text(pieces) == "sklearn 1/64, xgboost 1/64 1/4, round 1"
    assert pieces_text([Piece(cell("sklearn"), 2), Piece(cell("sklearn"), 3)]) == "sklearn 1/64, rounds 2, 3"
    elsewhere = Piece(cell("mllib", placement="spark", cluster="standalone-2x1"), 1)
    assert pieces_text([elsewhere, pieces[0]]) == "sklearn on local 1/64, mllib on standalone-2x1 1/64, round 1"


def test_a_file_gets_one_line_for_each_step_and_each_new_answer(screen: io.StringIO) -> None:
    lines = StepLines(Console(file=screen, width=200), time.monotonic() + 90)
    lines.stand([OPEN])
    lines.step(STEP)
    lines.executing(builders.CASE, "round 2, w e d 1/4")
    lines.finished(builders.record("r"), 1.0)
    lines.stand([OPEN])
    lines.stand([RESOLVED])
    assert re.sub(r"1:[0-3]\d left", "1:30 left", screen.getvalue()).splitlines() == [
        "  engine: xgboost (open, 0.97 (0.88–1.07), 5 rounds)",
        "step 1, 1:30 left, about 12 s: sklearn 1, xgboost 1/64, round 2 (a verdict hangs on noise)",
        "  engine: xgboost (resolved)",
    ]


def test_a_terminal_shows_answers_doubt_and_what_is_measured(screen: io.StringIO) -> None:
    terminal = Console(file=screen, width=100, height=20, force_terminal=True, color_system=None)
    live = LiveView(terminal, time.monotonic() + 90)
    live.step(STEP)
    live.executing(builders.CASE, "round 2, w e d 1/4")
    live.phase("fit")
    live.stand([OPEN])
    picture = screen.getvalue()
    live.close()
    assert "0.97 (0.88–1.07), 5 rounds" in picture
    assert "measuring sklearn 1, xgboost 1/64, round 2, about 12 s" in picture
    assert "because: a verdict hangs on noise" in picture
    assert "now: round 2, w e d 1/4: fit" in picture
    assert re.search(r"0:\d\d used, 1:\d\d left, 0 executions", picture)


def test_a_case_without_a_result_stays_visible(screen: io.StringIO) -> None:
    failed = builders.record("r").model_copy(update={"outcome": "oom", "seconds": {}})
    lines = StepLines(Console(file=screen, width=200), time.monotonic() + 90)
    lines.executing(builders.CASE, "round 2, w e d 1/4")
    lines.finished(failed, 1.0)
    assert screen.getvalue().startswith("round 2, w e d 1/4: oom")
