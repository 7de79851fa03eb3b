"""Measures the runs that `sparkscale plan --propose` names, as one run in the store."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError

from sparkscale.analysis.questions.plan.proposals import Measurable, Proposed
from sparkscale.analysis.questions.plan.wish import Offer
from sparkscale.contract.case import show_fraction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.measure.plan.cases import PlannedCase
from sparkscale.measure.run.progress import observer
from sparkscale.measure.run.run import Request, open_run
from sparkscale.measure.run.runner import Times
from sparkscale.store.store import Store
from workloads import registry
from workloads.datasets.synthetic import Synthetic

SUITE = "proposed.toml"
LEAST_DEADLINE = 60.0
"""The shortest deadline of a proposed run, in seconds."""

Key = tuple[str, str, float, int | None]
"""A cluster, a data set, a fraction, and the threads."""


def written(
    proposed: Proposed, store: Store, out: Path, paths: Mapping[str, str] | None = None
) -> tuple[Path, set[Key]]:
    """Writes the proposed runs as a suite into `out`. Returns its path, and the cases that are wanted of it.

    `paths` has the files of profiles that are not known by their name alone.

    Raises ConfigError if the data set cannot be made again.
    """
    own = _settings(proposed.sample, proposed.definition, store)
    names = {run: _name(proposed, run) for run, _, _ in proposed.runs}
    datasets = {names[run]: _sized(own, run.larger) for run in names if own is not None}
    suite = out / SUITE
    suite.write_text(_text(proposed, names, datasets, paths or {}))
    return suite, {(run.cluster, names[run], run.fraction, run.threads) for run in names}


def check_same_profiles(measured: Sequence[Offer], now: Sequence[Offer]) -> None:
    """Raises ConfigError if new runs would not join the records, because a profile differs.

    `measured` are the profiles and budgets of the records, and `now` those on this machine.
    """
    known = {offer.name: offer for offer in measured}
    for offer in now:
        own = known.get(offer.name)
        if own and (_without_price(own), own.budget) != (_without_price(offer), offer.budget):
            raise ConfigError(
                f"The profile {offer.name} or its budget has changed since the records, so new runs would not join "
                "them: measure again with `sparkscale run`."
            )


def _without_price(offer: Offer) -> dict[str, Any]:
    return {key: value for key, value in offer.profile.items() if key != "price"}


def measure_suite(suite: Path, wanted: set[Key], out: Path, within: float) -> int:
    """Measures the wanted cases of a suite as one run, with progress on stderr.

    No execution begins later than `within` seconds after the data is prepared. Returns how many did not begin.
    """

    def is_wanted(case: PlannedCase) -> bool:
        return (case.cluster.name, case.dataset, case.fraction, case.threads) in wanted

    try:
        with interruptible(), open_run(Request(str(suite), out, only=is_wanted), observer) as run:
            last_start = time.monotonic() + within
            longest = run.plan.suite.deadline_seconds  # an execution that began in time keeps its own deadline
            for cluster, executions in run.executions.items():
                run.measure(cluster, executions, Times(ends_at=last_start + longest, last_start=last_start))
            planned = sum(len(executions) for executions in run.executions.values())
            records = [record for record in run.store.records(run.invocation.id) if not record.is_warmup]
    except KeyboardInterrupt:
        typer.echo("Interrupted. The records so far are kept: a plan uses them.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if failures := [record for record in records if record.outcome != "ok"]:
        typer.echo(f"Warning: {len(failures)} of {len(records)} runs are not ok: see `sparkscale show`.", err=True)
    return planned - len({(record.case.id, record.round) for record in records})


def _settings(sample: RunRecord, definition: Mapping[str, Any], store: Store) -> dict[str, Any] | None:
    """Returns the settings of the measured data set. None if it is registered under its name, and needs none."""
    given = store.invocation(identity=sample.invocation).data
    if given is not None:
        return dict(given)
    dataset = sample.case.dataset
    try:
        source = type(registry.source({"kind": str(definition.get("kind"))}))
    except (ConfigError, ValidationError):
        source = None
    if source is not None and issubclass(source, Synthetic):
        known = {key: value for key, value in definition.items() if key in source.model_fields and value is not None}
        return {**known, "kind": definition["kind"]}
    if dataset in registry.DATASETS:
        return None
    raise ConfigError(
        f"The data set {dataset} was defined in a suite, so it cannot be measured from here: measure the proposed "
        "fractions with that suite."
    )


def _sized(settings: Mapping[str, Any], larger: int) -> dict[str, Any]:
    """Returns the settings of a data set with this many times the rows."""
    return dict(settings) if larger == 1 else {**settings, "rows": larger * int(settings["rows"])}


def _name(proposed: Proposed, run: Measurable) -> str:
    dataset = proposed.sample.case.dataset
    return dataset if run.larger == 1 else f"{dataset}-x{run.larger}"


def _text(
    proposed: Proposed,
    names: Mapping[Measurable, str],
    datasets: Mapping[str, dict[str, Any]],
    paths: Mapping[str, str],
) -> str:
    """Returns the suite of the proposed runs as TOML."""
    case = proposed.sample.case
    clusters = list(dict.fromkeys(paths.get(run.cluster, run.cluster) for run, _, _ in proposed.runs))
    slowest = max(expected.high for _, expected, _ in proposed.runs)
    rounds = max(count for _, _, count in proposed.runs)
    lines = [
        'summary = "proposed by sparkscale plan"',
        f"rounds = {rounds}",
        f"deadline_seconds = {max(LEAST_DEADLINE, 2 * slowest):.0f}",
        f"clusters = {_toml(clusters)}",
    ]
    for name, settings in datasets.items():
        lines += [f"\n[dataset.{_toml(name)}]", *_entries({k: v for k, v in settings.items() if k != "name"})]
    params = case.params_without("set", "capacity", "arguments")
    for run, _, count in proposed.runs:
        block = {
            "workload": case.workload,
            "engines": [case.engine],
            "datasets": [names[run]],
            "fractions": [show_fraction(run.fraction)],
            "sets": [case.params["set"]],
            "devices": [case.device],
            "rounds": count,
            "threads": run.threads,
        }
        lines += ["\n[[measure]]", *_entries(block), "[measure.params]", *_entries(params)]
    return "\n".join(lines) + "\n"


def _entries(values: Mapping[str, Any]) -> list[str]:
    return [f"{_toml(key)} = {_toml(value)}" for key, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    """Returns a text, a number, a truth value, or a list or table of them as TOML."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items() if each is not None)
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    return json.dumps(value)  # TOML writes texts, numbers and truth values as JSON does
