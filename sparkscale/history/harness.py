"""Compares the wall time of `sparkscale bench` with that of `asv run` on the same cases.

Unlike `sparkscale bench`, `asv run` starts a JVM for each case.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster import state
from cluster.budget import budget
from sparkscale.contract.errors import RecordingError
from sparkscale.history import git
from sparkscale.history.asv_benchmarks import Settings
from sparkscale.history.asv_results import describe_machine, selections
from sparkscale.history.checkout import Checkout, machine
from sparkscale.measure.plan import suite
from sparkscale.store.store import Store

SUITE = "harness"
ALL_BUT_CONTROLS = "^(?!controls)"
GOAL = 4.0
"""`asv run` should take at least this many times the wall time of `sparkscale bench`."""


@dataclass(frozen=True)
class GridRun:
    """One measurement of all cases, from the start of the command to its end."""

    name: str
    wall_seconds: float
    jvms: int
    executions: int
    warmups: int
    not_ok: int


def harness(rounds: int, say: Callable[[str], None]) -> list[GridRun]:
    """Runs the suite `harness` with `sparkscale bench` and with `asv run`.

    Both commands run in a clone, so that the history of this checkout stays unchanged. Raises RecordingError if a
    command fails.
    """
    checkout = Checkout.here(allow_dirty=True)
    with tempfile.TemporaryDirectory(prefix="sparkscale-harness-") as folder:
        clone = Path(folder) / "checkout"
        command = ["git", "clone", "--quiet", str(checkout.root), str(clone)]
        subprocess.run(command, env=git.environment(), check=True)
        (profile,) = state.profiles(suite.load(SUITE).clusters)
        description = machine(None, profile, budget(profile))
        describe_machine(description)
        bench = ["sparkscale", "bench", "--suite", SUITE, "--rounds", str(rounds), "--out", "results/bench"]
        say(f"sparkscale bench, {rounds} rounds of the suite {SUITE}")
        grid_runs = [_run_grid("sparkscale bench", [*bench, "--bench", ALL_BUT_CONTROLS], clone, {}, "bench")]
        with Store.existing(clone / "results" / "bench") as store:
            selected = selections(store.records(), suite.load(SUITE))
        asv = [
            "asv",
            "run",
            "--machine",
            description["machine"],
            "--set-commit-hash",
            checkout.commit,
            "--record-samples",
        ]
        asv += [f"--bench={selection.expression}" for selection in selected]
        settings = Settings(suite=SUITE, rounds=rounds, out=clone / "results" / "plain")
        say(f"asv run, {rounds} rounds of the same cases and figures")
        grid_runs.append(_run_grid("asv run", asv, clone, settings.variables(), "plain"))
        return grid_runs


def _run_grid(name: str, command: list[str], clone: Path, variables: dict[str, str], out: str) -> GridRun:
    environment = {**os.environ, "PYTHONPATH": str(clone), **variables}
    started = time.monotonic()
    finished = subprocess.run([sys.executable, "-m", *command], cwd=clone, env=environment, check=False)
    wall_seconds = time.monotonic() - started
    if finished.returncode not in (0, 2):
        raise RecordingError(f"{name} ended with exit status {finished.returncode}: see its output above.")
    with Store.existing(clone / "results" / out) as store:
        records = store.records()
    return GridRun(
        name,
        wall_seconds,
        jvms=len({record.jvm for record in records if record.jvm}),
        executions=sum(not record.is_warmup for record in records),
        warmups=sum(record.is_warmup for record in records),
        not_ok=sum(record.outcome != "ok" for record in records),
    )


def report(grid_runs: list[GridRun]) -> RenderableType:
    table = Table(header_style="bold")
    table.add_column("")
    for heading in ("wall, s", "JVM starts", "executions", "warm-ups", "not ok"):
        table.add_column(heading, justify="right")
    for grid_run in grid_runs:
        numbers = (grid_run.jvms, grid_run.executions, grid_run.warmups, grid_run.not_ok)
        table.add_row(grid_run.name, f"{grid_run.wall_seconds:.0f}", *map(str, numbers))
    bench, plain = grid_runs
    ratio = plain.wall_seconds / bench.wall_seconds
    goal_result = "met" if ratio >= GOAL else "missed"
    verdict = (
        f"asv run took {ratio:.1f} times the wall time of sparkscale bench (goal {GOAL:g}: {goal_result}), one run "
        "of each."
    )
    return Group(table, Text(verdict))
