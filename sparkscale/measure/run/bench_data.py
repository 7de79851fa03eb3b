"""How fast synthetic data is made, beside what else a user would make it with; interleaved, in fresh processes."""

import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import get_args

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cluster import java, processes, profile
from cluster.budget import budget
from cluster.profile import cache_folder
from sparkscale.contract.errors import ClusterError, ConfigError
from sparkscale.contract.threads import thread_variables
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.progress import Observer
from sparkscale.measure.run.scratch import scratch_folder
from sparkscale.measure.worker.generation import Contender, Job, Took
from workloads.datasets.amounts import parse_rows
from workloads.io.filesystem import check_space

CONTENDERS: tuple[Contender, ...] = get_args(Contender)
OURS: Contender = "sparkscale on Spark"
GOALS: dict[Contender, float] = {"Spark SQL": 3.0, "scikit-learn": 4.0}
"""How many times as many values per second OURS is to write."""
MOST_TASK_BYTES = 600 * 2**20
LIMIT_SECONDS = 1800.0
LEAST_ROWS = 1000


@dataclass(frozen=True)
class Generation:
    """What was measured. `seconds` has one figure per round, `peaks` a task's most bytes by rows."""

    rows: int
    columns: int
    cores: int
    seconds: dict[Contender, list[float]]
    bytes: dict[Contender, int]
    peaks: dict[int, int]

    def ratios(self, other: Contender) -> list[float]:
        """How many times as fast OURS is as another, round by round."""
        return [theirs / ours for ours, theirs in zip(self.seconds[OURS], self.seconds[other], strict=True)]


def measure_generation(
    rows: str, columns: int, rounds: int, memory_rows: str, observer: Callable[[], Observer]
) -> Generation:
    """Raises ConfigError for rows that are no number, DatasetError when the disk has no room for the tables."""
    try:
        count, large = parse_rows(rows), parse_rows(memory_rows)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    if count < LEAST_ROWS or 0 < large < LEAST_ROWS:
        raise ConfigError(f"Ask for {LEAST_ROWS:,} rows or more.")
    cores = budget(profile.load("local")).cores
    order = random.Random(0)
    seconds: dict[Contender, list[float]] = {name: [] for name in CONTENDERS}
    written: dict[Contender, int] = {}
    peaks: dict[int, int] = {}
    with machine_lock(), scratch_folder() as folder, closing(observer()) as watching:
        check_space(str(folder), 6.0 * max(count, large) * columns, "The largest table")
        for number in range(1, rounds + 1):
            for name in order.sample(CONTENDERS, len(CONTENDERS)):
                watching.doing(f"round {number} of {rounds}: {name}")
                took = _run(Job(contender=name, rows=count, columns=columns, folder=folder))
                seconds[name].append(took.seconds)
                written[name] = took.bytes
                watching.note(f"round {number} of {rounds}: {name}: {took.seconds:.2f} s")
        for size in sorted({count, large} if large else set()):
            watching.doing(f"memory of a task at {size:,} rows")
            peak = _run(Job(contender=OURS, rows=size, columns=columns, folder=folder, memory=True)).task_peak_bytes
            peaks[size] = peak or 0
    return Generation(count, columns, cores, seconds, written, peaks)


def _run(job: Job) -> Took:
    """In a session of processes of its own, which is ended whatever happens."""
    cpus = budget(profile.load("local")).node.cpus
    environment = {
        **java.own_environment(),
        **thread_variables(len(cpus)),
        **java.find(cache_folder()).environment(),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "sparkscale.measure.worker.generation", job.model_dump_json()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        text=True,
    ) as process:
        try:
            printed, said = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{job.contender} was not done after {LIMIT_SECONDS:.0f} s.") from None
        finally:
            if process.poll() is None:
                process.kill()
            processes.end_session(process.pid)
    if process.returncode:
        raise ClusterError(
            f"{job.contender} failed (exit status {process.returncode}). Its last words:\n{said[-2000:]}"
        )
    return Took.model_validate_json(printed.strip().splitlines()[-1])


def report(found: Generation) -> RenderableType:
    values = found.rows * found.columns
    table = Table(
        header_style="bold",
        title=f"{found.rows:,} rows × {found.columns} float32 = {values / 1e6:,.0f} M values on {found.cores} cores",
        title_justify="left",
        title_style="",
    )
    table.add_column("made by", no_wrap=True)
    for column in ("seconds\nmedian (range)", "M values per s", "MiB", f"{OURS} is\nso many times as fast"):
        table.add_column(column, justify="right")
    for name, seconds in found.seconds.items():
        ratio = "–" if name == OURS else _spread(found.ratios(name))
        rate = f"{values / median(seconds) / 1e6:,.1f}"
        table.add_row(name, _spread(seconds), rate, f"{found.bytes[name] / 2**20:,.0f}", ratio)
    return Group(table, *_verdicts(found), *_memory(found), Text(NOTE, style="dim"))


NOTE = (
    "sparkscale's tables have labels with known truth, 64 slices, a hold-out and a manifest; the others are plain "
    "tables with a label. All are written without compression. Start-up and a small first table are not timed; each "
    "round has fresh processes and a random order."
)


def _verdicts(found: Generation) -> list[Text]:
    lines = []
    for name, goal in GOALS.items():
        reached = median(found.ratios(name))
        word = "reached" if reached >= goal else "missed"
        lines.append(Text(f"Goal: at least {goal:g} × {name}: {word}, {_spread(found.ratios(name))}."))
    return lines


def _memory(found: Generation) -> list[Text]:
    lines = []
    for rows, peak in found.peaks.items():
        values = rows * found.columns / 1e6
        word = "within" if peak < MOST_TASK_BYTES else "above"
        lines.append(
            Text(
                f"Most memory of a task at {values:,.0f} M values: {peak / 2**20:,.0f} MiB, {word} "
                f"{MOST_TASK_BYTES / 2**20:.0f} MiB."
            )
        )
    return lines


def _spread(samples: list[float]) -> str:
    return f"{median(samples):.2f} ({min(samples):.2f}–{max(samples):.2f})"
