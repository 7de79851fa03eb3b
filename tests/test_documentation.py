"""The documentation: pages say what their records and commands say."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

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


def test_the_workflow_of_the_gate_is_safe_and_calls_it_with_options_that_it_has() -> None:
    workflow = yaml.safe_load((ROOT / "docs" / "github-gate.yml").read_text())
    measure, report = workflow["jobs"]["measure"], workflow["jobs"]["report"]
    assert set(workflow[True]) == {"pull_request"}  # YAML reads `on` as true
    assert "head.repo.full_name == github.repository" in measure["if"]
    assert measure["permissions"] == {"contents": "read"}
    assert "self-hosted" not in report["runs-on"]
    scripts = [step["run"] for job in (measure, report) for step in job["steps"] if "run" in step]
    assert all(subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0 for script in scripts)
    assert not any("${{" in script for script in scripts)  # names of branches could be code
    (call,) = [script for script in scripts if "sparkscale gate" in script and "--base" in script]
    section = (ROOT / "docs" / "cli.md").read_text().partition("## sparkscale gate\n")[2].partition("\n## ")[0]
    options = set(re.findall(r"--[a-z]+", call.partition("sparkscale gate")[2].partition(">")[0]))
    assert options == {"--base", "--within", "--format", "--out"}
    assert all(f"`{option}" in section for option in options)
