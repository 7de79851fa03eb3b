"""The documentation: pages say what their records and commands say."""

import os
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
    assert "github.event.action != 'labeled' || github.event.label.name == 'gate'" in measure["if"]
    assert measure["concurrency"]["cancel-in-progress"]
    assert "concurrency" not in workflow  # another label would cancel a measurement
    assert measure["permissions"] == {"contents": "read"}
    assert report["if"] == "always() && needs.measure.result != 'skipped'"
    assert "self-hosted" not in report["runs-on"]
    scripts = [step["run"] for job in (measure, report) for step in job["steps"] if "run" in step]
    assert all(subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0 for script in scripts)
    assert not any("${{" in script for script in scripts)  # names of branches could be code
    (call,) = [script for script in scripts if "sparkscale gate" in script and "--base" in script]
    section = (ROOT / "docs" / "cli.md").read_text().partition("## sparkscale gate\n")[2].partition("\n## ")[0]
    options = set(re.findall(r"--[a-z]+", call.partition("sparkscale gate")[2].partition(">")[0]))
    assert options == {"--base", "--within", "--format", "--out"}
    assert all(f"`{option}" in section for option in options)


@pytest.mark.parametrize(
    ("result", "code", "conclusion", "comment"),
    [
        ("success", "0", "success", "the verdicts"),
        ("success", "1", "failure", "the verdicts"),
        ("success", "3", "neutral", "the verdicts"),
        ("failure", "2", "failure", "The gate could not measure commit abc (job: failure, exit code: 2). The log "),
        ("cancelled", "", "failure", "The gate could not measure commit abc (job: cancelled, exit code: none). The"),
    ],
)
def test_the_workflow_of_the_gate_reports_also_that_nothing_was_measured(
    result: str, code: str, conclusion: str, comment: str, tmp_path: Path
) -> None:
    """Its scripts run with a `gh` that writes down its arguments, because there is no GitHub here."""
    report = yaml.safe_load((ROOT / "docs" / "github-gate.yml").read_text())["jobs"]["report"]
    (tmp_path / "gh").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >> "$CALLS"\n')
    (tmp_path / "gh").chmod(0o755)
    if result == "success":
        (tmp_path / "gate.md").write_text("the verdicts")
    values = dict.fromkeys(report["env"], "") | {"RESULT": result, "CODE": code, "COMMIT": "abc", "RUN": "r"}
    variables = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"), **values}
    for step in report["steps"]:
        if "run" in step:
            subprocess.run(["bash", "-e", "-c", step["run"]], env=variables, cwd=tmp_path, check=True)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"conclusion={conclusion}" in calls
    assert ("output[title]=The gate could not measure this commit" in calls) == (result != "success")
    assert (tmp_path / "body.md").read_text().startswith(f"<!-- sparkscale gate -->\n{comment}")
