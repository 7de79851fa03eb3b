"""`sparkscale bench`: measures a suite in as few workers as its rounds need, then has asv record it."""

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
from sparkscale.history.asv_benchmarks import chosen as chosen_by
from sparkscale.history.asv_benchmarks import placed, taken
from sparkscale.history.asv_results import describe_machine, file_of, record, selections
from sparkscale.history.checkout import Checkout, check_installed, check_same_machine, damaged, machine
from sparkscale.history.controls import CLUSTER
from sparkscale.history.grid import Point, of_planned
from sparkscale.history.package_environments import Environment
from sparkscale.history.part import Part
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
OURS = (
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
"""What `sparkscale bench` says to asv itself, or what would not record."""


@dataclass(frozen=True)
class Bench:
    """What the user asked for."""

    suite: str
    out: Path
    rounds: int | None = None
    clusters: tuple[str, ...] | None = None
    releases: tuple[str, ...] = ()
    """NAME==VERSION, as `package_environments.combinations` takes them."""
    machine: str | None = None
    dirty: bool = False
    resume: bool = False
    retry_failed: bool = False
    bench: tuple[str, ...] = ()
    """Regular expressions, as asv's `--bench` takes them."""
    options: tuple[str, ...] = ()
    """More of `asv run`."""


@dataclass(frozen=True)
class RecordedRun:
    """One environment's run, and where asv has it."""

    environment: Environment
    invocation: Invocation
    records: list[RunRecord]
    files: list[Path]


def bench(given: Bench, say: Callable[[str], None]) -> list[RecordedRun]:
    """Measures, then records; `say` is told what goes on between.

    Raises ConfigError for what is wrong with the request, the checkout or asv's files, before anything is measured.
    """
    checkout = Checkout.here(given.dirty)
    check_installed(checkout.root)
    asked = _placed(given)
    _check_options(asked)
    found = suite.load(asked.suite)
    controls = [name for name in CONTROLS if taken([name], asked.bench)]
    _check_cases(asked, found, controls)
    profiles = state.profiles(asked.clusters or found.clusters)
    machines = [machine(asked.machine, profile, budget(profile)) for profile in profiles]
    combined = package_environments.combinations(asked.releases)
    for told in machines:
        check_same_machine(checkout.results, told)
        describe_machine(told)
    _check_files(checkout, [told["machine"] for told in machines], combined)
    with machine_lock():
        runs = _measured(asked, [_environment(releases, checkout, say) for releases in combined], say)
        recorded = []
        for environment, invocation in runs:
            with Store.existing(asked.out) as store:
                records = store.records(invocation.id)
            _check_code(checkout, records)
            files = []
            for profile, told in zip(profiles, machines, strict=True):
                chosen = selections([one for one in records if one.case.cluster == profile.name], found)
                timed = controls if profile.name == CLUSTER else []
                if chosen or timed:
                    say(f"asv records {environment.title} on {profile.name}")
                    record(checkout, told, environment, asked.out, invocation, chosen, timed, asked.options)
                    files.append(file_of(checkout.results, checkout, told["machine"], environment))
            recorded.append(RecordedRun(environment, invocation, records, files))
    return recorded


def _placed(asked: Bench) -> Bench:
    """With absolute paths, for asv's processes run elsewhere."""
    here = Path.cwd()
    clusters = None if asked.clusters is None else tuple(placed(name, here) for name in asked.clusters)
    return replace(asked, suite=placed(asked.suite, here), out=asked.out.absolute(), clusters=clusters)


def _check_cases(asked: Bench, found: Suite, controls: list[str]) -> None:
    """Raises ConfigError when `--bench` takes nothing, or when asv could not tell two cases apart."""
    cases = [case for case in planned_cases(found, clusters=asked.clusters) if chosen_by(case, found, asked.bench)]
    if not cases and not controls:
        raise ConfigError(f"--bench {' '.join(asked.bench)} matches no figure of the suite {found.name}.")
    same: dict[tuple[str, Point], PlannedCase] = {}
    for case in cases:
        alike = replace(case, rounds=0, isolate=False)
        point = of_planned(case, found)
        if same.setdefault((case.workload.pattern.name, point), alike) != alike:
            raise ConfigError(
                f"The suite {found.name} has two cases that asv could not tell apart: {' '.join(point)}. Record them "
                "by suites of their own."
            )


def _check_code(checkout: Checkout, records: list[RunRecord]) -> None:
    """Raises ConfigError when something else was measured than what asv would record."""
    if {code_state(), *(record.code for record in records)} != {checkout.code}:
        raise ConfigError(
            f"{checkout.root} has changed since {checkout.commit[:8]} was measured: asv records nothing of it. "
            "`sparkscale show` has the figures."
        )


def _environment(releases: tuple[str, ...], checkout: Checkout, say: Callable[[str], None]) -> Environment:
    if not releases:
        return package_environments.installed()
    say(f"making ready {', '.join(releases)}")
    return package_environments.thin(releases, checkout.root / ".asv" / "with")


def _check_options(asked: Bench) -> None:
    """Raises ConfigError for options that `asv run` does not take, or that would contradict ours."""
    from asv.commands import make_argparser

    for expression in asked.bench:
        try:
            re.compile(expression)
        except re.error as error:
            raise ConfigError(f"--bench {expression} is no regular expression: {error}.") from error
    parser, _ = make_argparser()
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parsed = parser.parse_args(["run", *asked.options])
    except SystemExit:
        reason = (said.getvalue().strip().splitlines() or ["see `asv run --help`"])[-1].partition("error: ")[2]
        raise ConfigError(f"asv run does not take {' '.join(asked.options)}: {reason}.") from None
    plain = parser.parse_args(["run"])
    for name in OURS:
        if getattr(parsed, name, None) != getattr(plain, name, None):
            raise ConfigError(
                f"`sparkscale bench` does not hand on asv's {name.replace('_', '-')}: it records the present commit, "
                "in an environment and under a machine's name of its own (--with, --machine)."
            )


def _check_files(checkout: Checkout, machines: list[str], combined: list[tuple[str, ...]]) -> None:
    """Names asv's damaged files. Raises ConfigError when one stands where this run would be recorded."""
    placed = {
        file_of(checkout.results, checkout, name, Environment(releases, Path()))
        for name in machines
        for releases in combined
    } | {checkout.results / "benchmarks.json"}
    for path in damaged(checkout.results):
        if path in placed:
            raise ConfigError(f"{path} is damaged, and this run would be recorded there: move it away.")
        log.warning("%s is damaged: asv leaves it out, and it is left alone", path)


def _measured(
    asked: Bench, made: list[Environment], say: Callable[[str], None]
) -> list[tuple[Environment, Invocation]]:
    """All environments' runs, measured: in this order in odd rounds and the other way round in even ones, so that
    what changes on the machine meanwhile meets all of them.
    """
    runs = [(environment, _begun(asked, environment)) for environment in made]
    of = runs[0][1].rounds
    for number in range(1, of + 1) if len(runs) > 1 else [None]:
        for environment, invocation in runs if (number or 1) % 2 else reversed(runs):
            if number:
                say(f"round {number} of {of}, {environment.title}")
            part = Part(
                suite=asked.suite,
                out=asked.out,
                invocation=invocation.id,
                rounds=asked.rounds,
                clusters=asked.clusters,
                retry_failed=asked.retry_failed,
                bench=asked.bench,
                only_round=number,
            )
            if environment.releases:
                _measure_elsewhere(environment, part)
            else:
                part.measure()
    return runs


def _begun(asked: Bench, environment: Environment) -> Invocation:
    """A run of this environment: the last one where it is to be resumed and there is one, else a new one."""
    if asked.resume or asked.retry_failed:
        with contextlib.suppress(ConfigError), Store.existing(asked.out) as store:
            return store.invocation(asked.suite, command="bench", environment=environment.releases)
    request = Request(
        asked.suite,
        asked.out,
        rounds=asked.rounds,
        clusters=asked.clusters,
        command="bench",
        environment=environment.releases,
        fixed_seeds=True,
    )
    return begin(request)


def _measure_elsewhere(environment: Environment, part: Part) -> None:
    """By the environment's own Python, in a session of its own: an interruption is handed on, and waited for."""
    command = [str(environment.python), "-m", "sparkscale.history.part", part.model_dump_json()]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        status = process.wait()
    except BaseException:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise
    if status:
        raise RecordingError(f"Measuring {environment.title} ended with exit status {status}: see above.")
