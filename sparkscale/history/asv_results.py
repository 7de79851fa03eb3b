"""Makes asv record a run in a temporary folder first, so that asv's files are replaced together or not at all."""

import itertools
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkscale.contract.errors import RecordingError, StoreError
from sparkscale.contract.record import RunRecord
from sparkscale.history.asv_benchmarks import Settings, benchmark, tracked_metrics
from sparkscale.history.asv_plugin import DIRTY, environment_name
from sparkscale.history.checkout import CONFIGURATION, Checkout
from sparkscale.history.grid import record_point
from sparkscale.history.package_environments import Environment
from sparkscale.measure.plan.suite import Suite
from sparkscale.store.invocation import Invocation

END_SECONDS = 10
"""Seconds that an interrupted asv has to end its child processes, before all of them are killed."""


def requirements(environment: Environment, checkout: Checkout) -> dict[str, str]:
    """Returns asv's requirements: releases that are not the installed ones, and `DIRTY` for uncommitted changes."""
    return {**environment.requirements, **(DIRTY if checkout.dirty else {})}


def file_of(results: Path, checkout: Checkout, machine: str, environment: Environment) -> Path:
    """Returns the path of the file in which asv keeps the results of a commit, machine and package environment."""
    from asv.results import get_filename

    name = environment_name(requirements(environment, checkout))
    return results / str(get_filename(machine, checkout.commit, name))


@dataclass(frozen=True)
class Selection:
    """A measured case: its pattern, its parameters as asv writes them, and the metrics to record."""

    pattern: str
    parameters: str
    metrics: tuple[str, ...]

    @property
    def expression(self) -> str:
        """The regular expression that selects the case's metrics with asv's `--bench`."""
        names = "|".join(re.escape(benchmark(self.pattern, metric)) for metric in self.metrics)
        return rf"^(?:{names})\({re.escape(self.parameters)}\)$"


def selections(records: list[RunRecord], suite: Suite) -> list[Selection]:
    """Returns each measured case with the metrics that its records have.

    A case without any metric gets the metrics of the pattern's other cases. asv then shows n/a for the case, with
    the reason.
    """
    cases: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if not record.is_warmup:
            parameters = ", ".join(map(repr, record_point(record, suite)))
            cases.setdefault((record.case.pattern, parameters), []).append(record)
    metrics_by_case = {
        (pattern, parameters): [m.name for m in tracked_metrics(pattern) if m.samples(of_case)]
        for (pattern, parameters), of_case in cases.items()
    }
    selected = []
    for (pattern, parameters), metrics in metrics_by_case.items():
        others = [name for (other, _), names in metrics_by_case.items() if other == pattern for name in names]
        names_to_record = metrics or list(dict.fromkeys(others)) or ["time_to_model"]
        selected.append(Selection(pattern, parameters, tuple(names_to_record)))
    return selected


def record(
    checkout: Checkout,
    machine: dict[str, str],
    environment: Environment,
    out: Path,
    invocation: Invocation,
    selected: Sequence[Selection],
    controls: Sequence[str],
    options: Sequence[str],
) -> None:
    """Makes asv record the cases `selected` of a run that is stored in `out`, and time the `controls`.

    `options` are further options of `asv run`. Raises RecordingError if asv fails. After a failure or an
    interruption, `results/asv` is unchanged.
    """
    checkout.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sparkscale-asv-") as folder:
        staging = Path(folder)
        results = staging / "results"
        _copy_of_commit(checkout, machine["machine"], results)
        matrix = {"req": {name: [version] for name, version in requirements(environment, checkout).items()}}
        configuration = {
            **checkout.configuration(),
            "repo": str(checkout.root),
            "branches": ["HEAD"],
            "environment_type": "sparkscale",
            "pythons": [str(environment.python)],
            "matrix": matrix,
            "benchmark_dir": str(checkout.root / "benchmarks"),
            "env_dir": str(staging / "env"),
            "results_dir": str(results),
            "html_dir": str(staging / "html"),
        }
        (staging / CONFIGURATION).write_text(json.dumps(configuration))
        asv = [sys.executable, "-m", "asv", "--config", str(staging / CONFIGURATION)]
        command = [*asv, "run", "--machine", machine["machine"], "--set-commit-hash", checkout.commit]
        command += ["--record-samples", "--show-stderr", "--launch-method", "forkserver"]
        command += [f"--bench={selection.expression}" for selection in selected]
        command += [f"--bench=^{re.escape(control)}$" for control in controls]
        settings = Settings(invocation.suite, out, clusters=invocation.clusters, invocation=invocation.id)
        _run([*command, *options], settings.variables())
        _complete(file_of(results, checkout, machine["machine"], environment), selected)
        _publish(results, checkout.results)


def describe_machine(description: dict[str, str]) -> None:
    """Adds the machine to the machines that asv knows (~/.asv-machine.json).

    Otherwise asv would ask the user, or use the only machine that it knows. Raises StoreError if the file is damaged.
    """
    from asv.machine import MachineCollection  # `asv machine` does not store values that equal its own guesses
    from asv.util import UserError

    try:
        MachineCollection.save(description["machine"], description)
    except (UserError, OSError) as error:
        path = MachineCollection.get_machine_file_path()
        raise StoreError(f"{path} cannot be used by asv: move it away ({str(error).strip().rstrip('.')}).") from error


def _complete(path: Path, selected: Sequence[Selection]) -> None:
    """Corrects asv's file. Afterwards, each combination of parameters has the present values of its case.

    A value that the case does not have is n/a. When a case is recorded again, asv keeps values that the case no
    longer has. asv also marks combinations that are new in the file as failed. Raises RecordingError for a value
    that asv failed to read.
    """
    content = json.loads(path.read_text())
    columns = content["result_columns"]
    recorded_names = {
        (s.pattern, s.parameters): {benchmark(s.pattern, metric) for metric in s.metrics} for s in selected
    }
    for name, row in content["results"].items():
        pattern = name.partition(".")[0]
        axes = row[columns.index("params")]
        if not axes:
            continue
        for index, combination in enumerate(itertools.product(*axes)):
            names = recorded_names.get((pattern, ", ".join(combination)))
            results = row[columns.index("result")]
            failed = results is None or results[index] is None
            if names and name in names:
                if failed:
                    raise RecordingError(
                        f"asv failed to read {name}({', '.join(combination)}): see its output above."
                    )
            elif failed or names:
                _forget(row, columns, index, count=math.prod(map(len, axes)))
    path.write_text(json.dumps(content))


def _forget(row: list[Any], columns: list[str], index: int, count: int) -> None:
    """Sets the result of one combination of parameters to n/a, which is NaN without samples and statistics.

    `row` holds the results of one of asv's benchmarks, in these `columns`. `index` is the number of the
    combination, and `count` is the number of all combinations.
    """
    result = columns.index("result")
    row[result] = row[result] or [None] * count
    row[result][index] = math.nan
    for column, name in enumerate(columns[: len(row)]):
        if (name == "samples" or name.startswith("stats_")) and row[column]:
            row[column][index] = None


def _copy_of_commit(checkout: Checkout, machine: str, results: Path) -> None:
    """Copies asv's files of this commit and machine to `results`, because asv adds to them."""
    (results / machine).mkdir(parents=True)
    for path in (checkout.results / machine).glob(f"{checkout.commit[:8]}-*.json"):
        shutil.copy2(path, results / machine / path.name)


def _publish(results: Path, to: Path) -> None:
    """Copies the JSON files of `results` to `to`. Each file is written under a temporary name, then renamed."""
    for path in sorted(results.glob("**/*.json")):
        target = to / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, temporary)
        temporary.replace(target)


def _run(command: list[str], variables: dict[str, str]) -> None:
    """Runs asv in its own process group, so that Ctrl-C reaches only this process. This process then ends asv.

    Raises RecordingError if asv fails.
    """
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, start_new_session=True, stdin=subprocess.DEVNULL
    )
    try:
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    if status not in (0, 2):  # 2: a benchmark failed, which is recorded as such
        raise RecordingError(f"asv ended with exit status {status}: see its output above.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupts asv, so that asv ends its children. Kills asv and its children if this takes over END_SECONDS."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
