"""`sparkscale bench`: measures a suite as `sparkscale run` does, then makes asv record the run."""

import contextlib
import io
import logging
import re
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cluster import state
from cluster.budget import budget
from sparkscale.contract.errors import ConfigError, RecordingError
from sparkscale.contract.record import RunRecord
from sparkscale.history import package_environments
from sparkscale.history.asv_benchmarks import absolute_if_file, any_matches, case_matches
from sparkscale.history.asv_results import describe_machine, file_of, record, selections
from sparkscale.history.checkout import Checkout, check_installed, check_same_machine, damaged, machine
from sparkscale.history.controls import CLUSTER
from sparkscale.history.grid import Point, planned_point
from sparkscale.history.package_environments import Environment
from sparkscale.history.part import Part
from sparkscale.history.unchanged import unchanged
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.run.lock import machine_lock
from sparkscale.measure.run.run import Request, begin
from sparkscale.measure.worker.descriptions import code_state
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

log = logging.getLogger(__name__)

CONTROLS = {
    "controls.Fit.time_fit": "a small fit",
    "controls.Session.timeraw_session_start": "a session's start",
}
"""Maps the benchmarks that asv itself times to their titles."""
RESERVED_OPTIONS = (
    "range",
    "set_commit_hash",
    "env_spec",
    "machine",
    "config",
    "launch_method",
    "record_samples",
    "append_samples",
    "interleave_rounds",
    "skip_existing",
    "skip_existing_successful",
    "skip_existing_failed",
    "skip_existing_commits",
    "dry_run",
    "profile",
    "quick",
)
"""Options of `asv run` that users cannot pass. `sparkscale bench` sets them, or asv would not record with them."""


@dataclass(frozen=True)
class Bench:
    """The user's request: the options of `sparkscale bench`."""

    suite: str
    out: Path
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    releases: tuple[str, ...] = ()
    """Releases to measure with, each NAME==VERSION (see `package_environments.combinations`)."""
    machine: str | None = None
    dirty: bool = False
    resume: bool = False
    retry_failed: bool = False
    bench: tuple[str, ...] = ()
    """Regular expressions, as asv's `--bench` takes them."""
    options: tuple[str, ...] = ()
    """Further options of `asv run`."""
    if_changed: bool = False
    """If true, nothing is measured if nothing changed that can change a figure (see `unchanged`)."""


@dataclass(frozen=True)
class RecordedRun:
    """The run of one package environment, and the files in which asv recorded it."""

    environment: Environment
    invocation: Invocation
    records: list[RunRecord]
    files: list[Path]


def bench(user_request: Bench, say: Callable[[str], None]) -> list[RecordedRun]:
    """Measures the suite and makes asv record it. Calls `say` with a message about each step.

    Returns an empty list, after a message with the reason, if the request is to measure changes only and there are
    none. Raises ConfigError before anything is measured if the request, the checkout or one of asv's files is faulty.
    """
    checkout = Checkout.here(user_request.dirty)
    check_installed(checkout.root)
    request = _with_absolute_paths(user_request)
    _check_options(request)
    measured_suite = suite.load(request.suite)
    controls = [name for name in CONTROLS if any_matches([name], request.bench)]
    _check_cases(request, measured_suite, controls)
    profiles = state.profiles(request.clusters or measured_suite.clusters)
    machines = [machine(request.machine, profile, budget(profile)) for profile in profiles]
    release_sets = package_environments.combinations(request.releases)
    names = [description["machine"] for description in machines]
    for description in machines:
        check_same_machine(checkout.results, description)
    if request.if_changed and (same := unchanged(checkout, checkout.results, names, release_sets)):
        say(same.sentence)
        return []
    for description in machines:
        describe_machine(description)
    _check_files(checkout, names, release_sets)
    with machine_lock():
        runs = _measure_all(request, [_environment(releases, checkout, say) for releases in release_sets], say)
        recorded_runs = []
        for environment, invocation in runs:
            with Store.existing(request.out) as store:
                records = store.records(invocation.id)
            _check_code(checkout, records)
            files = []
            for profile, description in zip(profiles, machines, strict=True):
                selected = selections([r for r in records if r.case.cluster == profile.name], measured_suite)
                timed_controls = controls if profile.name == CLUSTER else []
                if selected or timed_controls:
                    say(f"asv records {environment.title} on {profile.name}")
                    record(
                        checkout,
                        description,
                        environment,
                        request.out,
                        invocation,
                        selected,
                        timed_controls,
                        request.options,
                    )
                    files.append(file_of(checkout.results, checkout, description["machine"], environment))
            recorded_runs.append(RecordedRun(environment, invocation, records, files))
    return recorded_runs


def _with_absolute_paths(request: Bench) -> Bench:
    """Returns the request with absolute paths, because asv's processes run in other folders."""
    folder = Path.cwd()
    clusters = (
        None if request.clusters is None else tuple(absolute_if_file(name, folder) for name in request.clusters)
    )
    return replace(
        request, suite=absolute_if_file(request.suite, folder), out=request.out.absolute(), clusters=clusters
    )


def _check_cases(request: Bench, measured_suite: Suite, controls: list[str]) -> None:
    """Raises ConfigError if `--bench` matches nothing, or if asv could not tell two cases apart."""
    cases = [
        case
        for case in planned_cases(measured_suite, clusters=request.clusters)
        if case_matches(case, measured_suite, request.bench)
    ]
    if not cases and not controls:
        raise ConfigError(f"--bench {' '.join(request.bench)} matches no figure of the suite {measured_suite.name}.")
    cases_by_point: dict[tuple[str, Point], PlannedCase] = {}
    for case in cases:
        comparable = replace(case, rounds=0, isolate=False)
        point = planned_point(case, measured_suite)
        if cases_by_point.setdefault((case.workload.pattern.name, point), comparable) != comparable:
            raise ConfigError(
                f"The suite {measured_suite.name} has two cases that asv could not tell apart: {' '.join(point)}. "
                "Put them into separate suites."
            )


def _check_code(checkout: Checkout, records: list[RunRecord]) -> None:
    """Raises ConfigError if the checkout has changed since it was read, or if a record comes from other code."""
    if {code_state(), *(record.code for record in records)} != {checkout.code}:
        raise ConfigError(
            f"{checkout.root} has changed since {checkout.commit[:8]} was measured, so asv records nothing. "
            "See the figures with `sparkscale show`."
        )


def _environment(releases: tuple[str, ...], checkout: Checkout, say: Callable[[str], None]) -> Environment:
    """Returns the Python with these releases, and installs them if necessary."""
    if not releases:
        return package_environments.installed()
    say(f"preparing a package environment with {', '.join(releases)}")
    return package_environments.overlay(releases, checkout.root / ".asv" / "with")


def _check_options(request: Bench) -> None:
    """Raises ConfigError for a faulty `--bench`, and for options that `asv run` lacks or that users cannot pass.

    RESERVED_OPTIONS lists the options of `asv run` that users cannot pass.
    """
    from asv.commands import make_argparser

    for expression in request.bench:
        try:
            re.compile(expression)
        except re.error as error:
            raise ConfigError(f"--bench {expression} is no regular expression: {error}.") from error
    parser, _ = make_argparser()
    stderr = io.StringIO()
    try:
        with contextlib.redirect_stderr(stderr):
            parsed = parser.parse_args(["run", *request.options])
    except SystemExit:
        reason = (stderr.getvalue().strip().splitlines() or ["see `asv run --help`"])[-1].partition("error: ")[2]
        raise ConfigError(f"asv run does not take {' '.join(request.options)}: {reason}.") from None
    defaults = parser.parse_args(["run"])
    for name in RESERVED_OPTIONS:
        if getattr(parsed, name, None) != getattr(defaults, name, None):
            raise ConfigError(
                f"asv's option {name.replace('_', '-')} cannot be used here: `sparkscale bench` records the present "
                "commit and sets the environment and the machine's name itself (use --with and --machine)."
            )


def _check_files(checkout: Checkout, machines: list[str], release_sets: list[tuple[str, ...]]) -> None:
    """Warns of asv's damaged files. Raises ConfigError if this run would be recorded in one of them."""
    target_files = {
        file_of(checkout.results, checkout, name, Environment(releases, Path()))
        for name in machines
        for releases in release_sets
    } | {checkout.results / "benchmarks.json"}
    for path in damaged(checkout.results):
        if path in target_files:
            raise ConfigError(f"{path} is damaged, and this run would be recorded there: move it away.")
        log.warning("%s is damaged: asv leaves it out, and it is left alone", path)


def _measure_all(
    request: Bench, environments: list[Environment], say: Callable[[str], None]
) -> list[tuple[Environment, Invocation]]:
    """Measures and returns the runs of all environments.

    Odd rounds measure the environments in the given order, even rounds in reverse order. So if the machine
    becomes slower or faster over time, this affects all environments alike.
    """
    runs = [(environment, _begin_or_resume(request, environment)) for environment in environments]
    rounds = runs[0][1].rounds
    for number in range(1, rounds + 1) if len(runs) > 1 else [None]:
        for environment, invocation in runs if (number or 1) % 2 else reversed(runs):
            if number:
                say(f"round {number} of {rounds}, {environment.title}")
            part = Part(
                suite=request.suite,
                out=request.out,
                invocation=invocation.id,
                rounds=request.rounds,
                clusters=request.clusters,
                retry_failed=request.retry_failed,
                bench=request.bench,
                only_round=number,
            )
            if environment.releases:
                _measure_elsewhere(environment, part)
            else:
                part.measure()
    return runs


def _begin_or_resume(request: Bench, environment: Environment) -> Invocation:
    """Returns the environment's last run if one exists and the request resumes it, otherwise begins a run."""
    if request.resume or request.retry_failed:
        with contextlib.suppress(ConfigError), Store.existing(request.out) as store:
            return store.invocation(request.suite, command="bench", environment=environment.releases)
    run_request = Request(
        request.suite,
        request.out,
        rounds=request.rounds,
        clusters=request.clusters,
        command="bench",
        environment=environment.releases,
        fixed_seeds=True,
    )
    return begin(run_request)


def _measure_elsewhere(environment: Environment, part: Part) -> None:
    """Measures a part of a run in a new process, with the environment's Python and in its own process group.

    If this process is interrupted, it ends the new process and waits for it. Raises RecordingError if the new
    process fails.
    """
    command = [str(environment.python), "-m", "sparkscale.history.part", part.model_dump_json()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    if status:
        raise RecordingError(f"Measuring {environment.title} ended with exit status {status}: see its output above.")
