"""Hands a measured run to asv: in a folder of its own, so that asv's files are replaced whole or not at all."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sparkscale.contract.errors import RecordingError
from sparkscale.contract.record import RunRecord
from sparkscale.history.checkout import CONFIGURATION, Checkout
from sparkscale.history.environments import Environment
from sparkscale.history.grid import of_record
from sparkscale.history.recorded import Settings, benchmark, tracked_metrics
from sparkscale.measure.store import Invocation
from sparkscale.measure.suite import Suite

PLUGIN = "sparkscale.history.asv_plugin"
DIRTY = {"tree": "dirty"}
"""Stands among the requirements of what was recorded from a tree with changes, and so in its name."""
END_SECONDS = 10


def requirements(environment: Environment, checkout: Checkout) -> dict[str, str]:
    """What sets the environment apart, in asv's words."""
    return {**environment.requirements, **(DIRTY if checkout.dirty else {})}


def selections(records: list[RunRecord], suite: Suite) -> list[str]:
    """A regular expression for each case, that asv's `--bench` takes: the metrics that its records carry; of a case
    that carries none, those of the others, so that asv shows n/a there and says why.
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
        names = "|".join(re.escape(benchmark(pattern, name)) for name in chosen)
        found.append(rf"^(?:{names})\({re.escape(parameters)}\)$")
    return found


def record(
    checkout: Checkout,
    machine: dict[str, str],
    environment: Environment,
    settings: Settings,
    invocation: Invocation,
    benchmarks: Sequence[str],
    options: Sequence[str],
) -> None:
    """Has asv record these benchmarks (regular expressions) of a run that has been measured.

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
        describe_machine(machine)
        command = [*asv, "run", "--machine", machine["machine"], "--set-commit-hash", checkout.commit]
        command += ["--record-samples", "--show-stderr", "--launch-method", "forkserver"]
        command += [f"--bench={expression}" for expression in benchmarks]
        told = replace(settings, suite=invocation.suite, invocation=invocation.id, clusters=invocation.clusters)
        _run([*command, *options], told.variables())
        _publish(results, checkout.results)


def describe_machine(told: dict[str, str]) -> None:
    """Adds the machine to those that asv knows (~/.asv-machine.json): of an unknown one it would ask, or take for it
    the only one that it knows.
    """
    from asv.machine import MachineCollection  # `asv machine` forgets what is as it would have guessed

    MachineCollection.save(told["machine"], told)


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
