"""Measures the runs that `sparkscale plan --propose` names, as one run in the store."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sparkscale.analysis.questions.plan.proposals import Measurable, Proposed
from sparkscale.contract.case import show_fraction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.interrupt import interruptible
from sparkscale.measure.plan.cases import PlannedCase
from sparkscale.measure.run.progress import observer
from sparkscale.measure.run.run import Request, measure
from sparkscale.store.store import Store
from workloads import registry
from workloads.datasets.synthetic import Synthetic

SUITE = "proposed.toml"
LEAST_DEADLINE = 60.0
"""The shortest deadline of a proposed run, in seconds."""

Key = tuple[str, str, float, int | None]
"""A cluster, a data set, a fraction, and the threads."""


def written(proposed: Proposed, store: Store, out: Path) -> tuple[Path, set[Key]]:
    """Writes the proposed runs as a suite into `out`. Returns its path, and the cases that are wanted of it.

    Raises ConfigError if the data set cannot be made again.
    """
    own = _settings(proposed.sample, proposed.definition, store)
    names = {run: _name(proposed, run) for run, _, _ in proposed.runs}
    datasets = {names[run]: _sized(own, run.larger) for run in names if own is not None}
    suite = out / SUITE
    suite.write_text(_text(proposed, names, datasets))
    return suite, {(run.cluster, names[run], run.fraction, run.threads) for run in names}


def measure_suite(suite: Path, wanted: set[Key], out: Path) -> None:
    """Measures the wanted cases of a suite as one run, with progress on stderr."""

    def is_wanted(case: PlannedCase) -> bool:
        return (case.cluster.name, case.dataset, case.fraction, case.threads) in wanted

    with interruptible():
        measure(Request(str(suite), out, only=is_wanted), observer)


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


def _text(proposed: Proposed, names: Mapping[Measurable, str], datasets: Mapping[str, dict[str, Any]]) -> str:
    """Returns the suite of the proposed runs as TOML."""
    case = proposed.sample.case
    clusters = list(dict.fromkeys(run.cluster for run, _, _ in proposed.runs))
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
