"""Hands a measured run to asv: in a folder of its own, so that asv's files are replaced whole or not at all."""

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
from sparkscale.history.grid import of_record
from sparkscale.history.package_environments import Environment
from sparkscale.measure.plan.suite import Suite
from sparkscale.store.invocation import Invocation

END_SECONDS = 10


def requirements(environment: Environment, checkout: Checkout) -> dict[str, str]:
    """What sets the environment apart, in asv's words."""
    return {**environment.requirements, **(DIRTY if checkout.dirty else {})}


def file_of(results: Path, checkout: Checkout, machine: str, environment: Environment) -> Path:
    """asv's file of one commit, machine and environment."""
    from asv.results import get_filename

    name = environment_name(requirements(environment, checkout))
    return results / str(get_filename(machine, checkout.commit, name))


@dataclass(frozen=True)
class Selection:
    """A case that was measured: its pattern, its parameters in asv's words, and the metrics that are recorded."""

    pattern: str
    parameters: str
    metrics: tuple[str, ...]

    @property
    def expression(self) -> str:
        """What asv's `--bench` takes."""
        names = "|".join(re.escape(benchmark(self.pattern, metric)) for metric in self.metrics)
        return rf"^(?:{names})\({re.escape(self.parameters)}\)$"


def selections(records: list[RunRecord], suite: Suite) -> list[Selection]:
    """Each case with the metrics that its records carry; of a case that carries none, with those of the others, so
    that asv shows n/a there and says why.
    """
    cases: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if not record.is_warmup:
            parameters = ", ".join(map(repr, of_record(record, suite)))
            cases.setdefault((record.case.pattern, parameters), []).append(record)
    carried = {
        (pattern, parameters): [m.name for m in tracked_metrics(pattern) if m.samples(of_case)]
        for (pattern, parameters), of_case in cases.items()
    }
    found = []
    for (pattern, parameters), metrics in carried.items():
        others = [name for (other, _), names in carried.items() if other == pattern for name in names]
        chosen = metrics or list(dict.fromkeys(others)) or ["time_to_model"]
        found.append(Selection(pattern, parameters, tuple(chosen)))
    return found


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
    """Has asv record these cases of a run whose records are in `out`, and time these controls.

    Raises RecordingError when asv fails; `results/asv` is as it was then, and after an interruption.
    """
    checkout.results.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sparkscale-asv-") as made:
        staging = Path(made)
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
        told = Settings(invocation.suite, out, clusters=invocation.clusters, invocation=invocation.id)
        _run([*command, *options], told.variables())
        _complete(file_of(results, checkout, machine["machine"], environment), selected)
        _publish(results, checkout.results)


def describe_machine(told: dict[str, str]) -> None:
    """Adds the machine to those that asv knows (~/.asv-machine.json): of an unknown one it would ask, or take for it
    the only one that it knows.

    Raises StoreError when the file is damaged.
    """
    from asv.machine import MachineCollection  # `asv machine` forgets what is as it would have guessed
    from asv.util import UserError

    try:
        MachineCollection.save(told["machine"], told)
    except (UserError, OSError) as error:
        path = MachineCollection.get_machine_file_path()
        raise StoreError(f"{path} cannot be used by asv: move it away ({str(error).strip().rstrip('.')}).") from error


def _complete(path: Path, selected: Sequence[Selection]) -> None:
    """Makes asv's file say of each combination what is so: a figure, or n/a where there is none.

    asv keeps, of a case that is recorded again, figures that it no longer has; and it says "failed" of a combination
    that the file had not before. Raises RecordingError for a figure that asv failed to read.
    """
    content = json.loads(path.read_text())
    columns = content["result_columns"]
    wanted = {(s.pattern, s.parameters): {benchmark(s.pattern, metric) for metric in s.metrics} for s in selected}
    for name, row in content["results"].items():
        pattern = name.partition(".")[0]
        axes = row[columns.index("params")]
        if not axes:
            continue
        for index, combination in enumerate(itertools.product(*axes)):
            names = wanted.get((pattern, ", ".join(combination)))
            results = row[columns.index("result")]
            failed = results is None or results[index] is None
            if names and name in names:
                if failed:
                    raise RecordingError(f"asv failed to read {name}({', '.join(combination)}): see above.")
            elif failed or names:
                _forget(row, columns, index, count=math.prod(map(len, axes)))
    path.write_text(json.dumps(content))


def _forget(row: list[Any], columns: list[str], index: int, count: int) -> None:
    """Makes one combination n/a: asv's word for what was not run is NaN, without samples and statistics."""
    result = columns.index("result")
    row[result] = row[result] or [None] * count
    row[result][index] = math.nan
    for column, name in enumerate(columns[: len(row)]):
        if (name == "samples" or name.startswith("stats_")) and row[column]:
            row[column][index] = None


def _copy_of_commit(checkout: Checkout, machine: str, results: Path) -> None:
    """What asv has of this commit and machine already, for it adds to that."""
    (results / machine).mkdir(parents=True)
    for path in (checkout.results / machine).glob(f"{checkout.commit[:8]}-*.json"):
        shutil.copy2(path, results / machine / path.name)


def _publish(results: Path, to: Path) -> None:
    """Each file whole: written beside its place, then renamed."""
    for path in sorted(results.glob("**/*.json")):
        target = to / path.relative_to(results)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = target.with_name(f".{target.name}.new")
        shutil.copyfile(path, beside)
        beside.replace(target)


def _run(command: list[str], variables: dict[str, str]) -> None:
    """In a session of its own: Ctrl-C is for this process, which ends asv and its children itself."""
    process = subprocess.Popen(
        command, env={**os.environ, **variables}, start_new_session=True, stdin=subprocess.DEVNULL
    )
    try:
        status = process.wait()
    except BaseException:
        _end(process)
        raise
    if status not in (0, 2):  # 2: a benchmark failed, which is recorded as such
        raise RecordingError(f"asv ended with exit status {status}: what it says stands above.")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """asv ends its children when it is interrupted, but not always in time."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
