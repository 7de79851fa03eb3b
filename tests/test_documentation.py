"""The documentation: pages say what their records and commands say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def tool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )


def test_measured_tables_are_what_their_records_give() -> None:
    done = tool("docs/tools/results.py", "--check")
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_page_of_commands_is_what_the_commands_say(tmp_path: Path) -> None:
    done = tool("docs/tools/commands.py", str(tmp_path / "cli.md"))
    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs" / "cli.md").read_text() == (tmp_path / "cli.md").read_text(), "run `make docs`"


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_changed_figure_is_noticed(page: str, tmp_path: Path) -> None:
    """In a copy: other tests read the pages meanwhile."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    text = (tmp_path / page).read_text()
    end = text.index("<!-- /measured -->")
    (tmp_path / page).write_text(text[:end] + "0.99\n" + text[end:])
    done = tool(str(tmp_path / "docs" / "tools" / "results.py"), "--check")
    assert (done.returncode, done.stdout) == (1, f"{page} differs from its records: run `make results`.\n")
