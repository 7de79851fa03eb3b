"""What the harness costs: the same grid by `sparkscale bench`, and by `asv run`, which starts a JVM for each case."""

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
from sparkscale.history.asv_benchmarks import Settings
from sparkscale.history.asv_results import describe_machine, selections
from sparkscale.history.checkout import Checkout, machine
from sparkscale.measure.plan import suite
from sparkscale.store.store import Store

SUITE = "harness"
ALL_BUT_CONTROLS = "^(?!controls)"
GOAL = 4.0
"""`asv run` should take as many times the wall time."""


@dataclass(frozen=True)
class Way:
    """One way through the grid, from the command to its end."""

    name: str
    wall_seconds: float
    jvms: int
    executions: int
    warmups: int
    not_ok: int


def harness(rounds: int, say: Callable[[str], None]) -> list[Way]:
    """Runs the committed code twice over the suite `harness`, in a clone, so that the history here stays as it is.

    Raises RecordingError when one of the two fails.
    """
    checkout = Checkout.here(allow_dirty=True)
    with tempfile.TemporaryDirectory(prefix="sparkscale-harness-") as made:
        clone = Path(made) / "checkout"
        subprocess.run(["git", "clone", "--quiet", str(checkout.root), str(clone)], check=True)
        (profile,) = state.profiles(suite.load(SUITE).clusters)
        told = machine(None, profile, budget(profile))
        describe_machine(told)
        bench = ["sparkscale", "bench", "--suite", SUITE, "--rounds", str(rounds), "--out", "results/bench"]
        say(f"sparkscale bench, {rounds} rounds of the suite {SUITE}")
        ways = [_way("sparkscale bench", [*bench, "--bench", ALL_BUT_CONTROLS], clone, {}, "bench")]
        with Store.existing(clone / "results" / "bench") as store:
            selected = selections(store.records(), suite.load(SUITE))
        asv = ["asv", "run", "--machine", told["machine"], "--set-commit-hash", checkout.commit, "--record-samples"]
        asv += [f"--bench={selection.expression}" for selection in selected]
        settings = Settings(suite=SUITE, rounds=rounds, out=clone / "results" / "plain")
        say(f"asv run, {rounds} rounds of the same cases and figures")
        ways.append(_way("asv run", asv, clone, settings.variables(), "plain"))
        return ways


def _way(name: str, command: list[str], clone: Path, variables: dict[str, str], out: str) -> Way:
    environment = {**os.environ, "PYTHONPATH": str(clone), **variables}
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-m", *command], cwd=clone, env=environment, check=False)
    wall = time.monotonic() - started
    if done.returncode not in (0, 2):
        raise RecordingError(f"{name} ended with exit status {done.returncode}: see above.")
    with Store.existing(clone / "results" / out) as store:
        records = store.records()
    return Way(
        name,
        wall,
        jvms=len({record.jvm for record in records if record.jvm}),
        executions=sum(not record.is_warmup for record in records),
        warmups=sum(record.is_warmup for record in records),
        not_ok=sum(record.outcome != "ok" for record in records),
    )


def report(ways: list[Way]) -> RenderableType:
    table = Table(header_style="bold")
    table.add_column("")
    for name in ("wall, s", "JVM starts", "executions", "warm-ups", "not ok"):
        table.add_column(name, justify="right")
    for way in ways:
        numbers = (way.jvms, way.executions, way.warmups, way.not_ok)
        table.add_row(way.name, f"{way.wall_seconds:.0f}", *map(str, numbers))
    bench, plain = ways
    ratio = plain.wall_seconds / bench.wall_seconds
    met = "met" if ratio >= GOAL else "missed"
    verdict = (
        f"asv run took {ratio:.1f} times the wall time of sparkscale bench (goal {GOAL:g}: {met}), one run of each."
    )
    return Group(table, Text(verdict))
