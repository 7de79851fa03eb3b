"""Output as it is: of users' own names, and where the locale spells no more than ASCII."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparkscale.analysis.blocks import Column, Grid
from sparkscale.output import console
from sparkscale.present.terminal import drawn

SAY = """
from sparkscale.analysis.blocks import Column, Grid, name
from sparkscale.output import console, printable
from sparkscale.present.terminal import drawn
printable()
grid = Grid("a – b", (name("engine"), Column("s")), (("größe 漢", "1.0 (0.9–1.1) × 2²…"),))
console().print(drawn([grid]))
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_tables_are_written_in_what_the_stream_can_spell(tmp_path: Path, encoding: str) -> None:
    script = tmp_path / "say.py"
    script.write_text(SAY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        env={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode(encoding)
    row = {"ascii": "gro?e ?", "latin-1": "größe ?", "utf-8": "größe 漢"}[encoding]
    figures = {"ascii": "(0.9-1.1) x 22...", "latin-1": "(0.9-1.1) × 2²...", "utf-8": "(0.9–1.1) × 2²…"}[encoding]
    assert row in text
    assert figures in text


NAMES = ["speed [/min]", "timestamp[us, tz=UTC]", "[bold]", "a :key: b", "[link=x]y[/link]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_users_are_no_markup(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In a heading, a cell, a title and a line."""
    grid = Grid(name, (Column(name, is_name=True), Column(name, is_text=True)), ((name, name),))
    console().print(drawn([grid]))
    console().print(name)
    console(stderr=True).print(name)
    printed = capsys.readouterr()
    assert printed.out.count(name) == 6
    assert printed.err.strip() == name
