"""`sparkscale bench-data`: compares the speed of generators of synthetic data, in new processes each time."""

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
from sparkscale.measure.worker.generation import Contender, GenerationResult, Job
from workloads.datasets.amounts import parse_rows
from workloads.io.filesystem import check_space

CONTENDERS: tuple[Contender, ...] = get_args(Contender)
OURS: Contender = "sparkscale on Spark"
GOALS: dict[Contender, float] = {"Spark SQL": 3.0, "scikit-learn": 4.0}
"""The least speed that sparkscale's generator should have, as a multiple of the speed of the generator in the key.

The speed is the number of values written per second.
"""
MOST_TASK_BYTES = 600 * 2**20
LIMIT_SECONDS = 1800.0
LEAST_ROWS = 1000


@dataclass(frozen=True)
class Generation:
    """The measurements of all generators. `rows` and `columns` are the size of their tables.

    `seconds` maps each generator to its seconds, one value per round. `bytes` maps each generator to the size of
    its files. `peaks` maps a number of rows to the peak memory, in bytes, of one task of sparkscale's generator.
    """

    rows: int
    columns: int
    cores: int
    seconds: dict[Contender, list[float]]
    bytes: dict[Contender, int]
    peaks: dict[int, int]

    def ratios(self, other: Contender) -> list[float]:
        """Returns the speed of sparkscale's generator divided by that of the generator `other`, round by round."""
        return [theirs / ours for ours, theirs in zip(self.seconds[OURS], self.seconds[other], strict=True)]


def measure_generation(
    rows: str, columns: int, rounds: int, memory_rows: str, observer: Callable[[], Observer]
) -> Generation:
    """Measures all generators. `rows` is the size of the timed tables.

    Memory is measured with tables of `rows` and `memory_rows` rows; "0" for `memory_rows` leaves this out. Raises
    ConfigError if a number of rows is wrong, and DatasetError if the disk has no room for the tables.
    """
    try:
        count, large = parse_rows(rows), parse_rows(memory_rows)
    except ValueError as error:
        raise ConfigError(f"{error}.") from error
    if count < LEAST_ROWS or 0 < large < LEAST_ROWS:
        raise ConfigError(
            f"--rows and --memory-rows need {LEAST_ROWS:,} rows or more (--memory-rows 0: no measurement of memory)."
        )
    cores = budget(profile.load("local")).cores
    generator = random.Random(0)
    seconds: dict[Contender, list[float]] = {name: [] for name in CONTENDERS}
    written_bytes: dict[Contender, int] = {}
    peaks: dict[int, int] = {}
    with machine_lock(), scratch_folder() as folder, closing(observer()) as watching:
        check_space(str(folder), 6.0 * max(count, large) * columns, "The largest table")
        for number in range(1, rounds + 1):
            for name in generator.sample(CONTENDERS, len(CONTENDERS)):
                watching.doing(f"round {number} of {rounds}: {name}")
                result = _run(Job(contender=name, rows=count, columns=columns, folder=folder))
                seconds[name].append(result.seconds)
                written_bytes[name] = result.bytes
                watching.note(f"round {number} of {rounds}: {name}: {result.seconds:.2f} s")
        for size in sorted({count, large} if large else set()):
            watching.doing(f"memory of a task at {size:,} rows")
            peak = _run(Job(contender=OURS, rows=size, columns=columns, folder=folder, memory=True)).task_peak_bytes
            peaks[size] = peak or 0
    return Generation(count, columns, cores, seconds, written_bytes, peaks)


def _run(job: Job) -> GenerationResult:
    """Runs one generator in a new process. At the end, kills all processes that the generator started."""
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
            printed, errors = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise ClusterError(
                f"{job.contender} was not done after {LIMIT_SECONDS:.0f} s: choose fewer rows."
            ) from None
        finally:
            if process.poll() is None:
                process.kill()
            processes.end_session(process.pid)
    if process.returncode:
        raise ClusterError(
            f"{job.contender} failed (exit status {process.returncode}). The end of its output:\n{errors[-2000:]}"
        )
    return GenerationResult.model_validate_json(printed.strip().splitlines()[-1])


def report(generation: Generation) -> RenderableType:
    """Returns the table of seconds and sizes, the verdicts on the goals, and the peak memory."""
    values = generation.rows * generation.columns
    table = Table(
        header_style="bold",
        title=f"{generation.rows:,} rows × {generation.columns} float32 = {values / 1e6:,.0f} M values on "
        f"{generation.cores} cores",
        title_justify="left",
        title_style="",
    )
    table.add_column("made by", no_wrap=True)
    for column in ("seconds\nmedian (range)", "M values per s", "MiB", f"{OURS} is\nfaster by this factor"):
        table.add_column(column, justify="right")
    for name, seconds in generation.seconds.items():
        ratio = "–" if name == OURS else _spread(generation.ratios(name))
        rate = f"{values / median(seconds) / 1e6:,.1f}"
        table.add_row(name, _spread(seconds), rate, f"{generation.bytes[name] / 2**20:,.0f}", ratio)
    return Group(table, *_verdicts(generation), *_memory(generation), Text(NOTE, style="dim"))


NOTE = (
    "sparkscale's tables have labels with known truth, 64 slices, a hold-out and a manifest; the others are plain "
    "tables with a label. All are written without compression. Start-up and a small first table are not timed. Each "
    "round has fresh processes and a random order."
)


def _verdicts(generation: Generation) -> list[Text]:
    lines = []
    for name, goal in GOALS.items():
        ratio = median(generation.ratios(name))
        verdict = "reached" if ratio >= goal else "missed"
        lines.append(Text(f"Goal: at least {goal:g} × {name}: {verdict}, {_spread(generation.ratios(name))}."))
    return lines


def _memory(generation: Generation) -> list[Text]:
    lines = []
    for rows, peak in generation.peaks.items():
        values = rows * generation.columns / 1e6
        relation = "within" if peak < MOST_TASK_BYTES else "above"
        lines.append(
            Text(
                f"Peak memory of a task at {values:,.0f} M values: {peak / 2**20:,.0f} MiB, {relation} the limit of "
                f"{MOST_TASK_BYTES / 2**20:.0f} MiB."
            )
        )
    return lines


def _spread(samples: list[float]) -> str:
    return f"{median(samples):.2f} ({min(samples):.2f}–{max(samples):.2f})"
