"""Compares times that asv measured with times that workers measured for the same calls."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis.every_metric import of_records
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.history.asv_plugin import DIRTY
from sparkscale.history.bench import CONTROLS
from sparkscale.history.checkout import Checkout
from sparkscale.history.controls import CLUSTER, FIT, fit_case
from sparkscale.history.grid import planned_point, record_point
from sparkscale.measure.plan import suite
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Agreement:
    """The seconds of one call, measured by two clocks.

    asv times the call in a separate process, and workers time it in a run. `asv` or `worker` is None if there are
    no times of this clock.
    """

    environment: str
    control: str
    asv: Spread | None
    worker: Spread | None

    @property
    def verdict(self) -> str:
        if self.asv is None:
            return "asv has no time of this control: record it with `sparkscale bench`"
        if self.worker is None:
            return "the run measured no such case"
        if self.asv.low <= self.worker.high and self.worker.low <= self.asv.high:
            return "ranges overlap"
        return "differ"


def agreements(checkout: Checkout, host: str, store: Store) -> list[Agreement]:
    """Returns one agreement per control (see `controls`) and package environment.

    Only package environments with results of this commit and host are compared.

    Raises ConfigError if asv has no results of this commit and host.
    """
    from asv.results import Results, iter_results_for_machine_and_hash

    comparisons = []
    results: Results
    for results in iter_results_for_machine_and_hash(checkout.results, f"{host}-{CLUSTER}", checkout.commit):
        if not results.env_name.startswith("sparkscale-"):
            continue
        releases = dict(results._requirements)
        releases.pop(next(iter(DIRTY)), None)
        records = _last_run(
            store, checkout.commit, tuple(f"{name}=={number}" for name, number in sorted(releases.items()))
        )
        for control, worker in zip(CONTROLS, (_fits(store, records), _session_starts(records)), strict=True):
            known = control in results.get_all_result_keys()
            samples = (results.get_result_samples(control, []) or [None])[0] if known else None
            comparisons.append(
                Agreement(results.env_name, CONTROLS[control], Spread.of(samples or []), Spread.of(worker))
            )
    if not comparisons:
        raise ConfigError(
            f"asv has no results of commit {checkout.commit[:8]} on {host}-{CLUSTER}: "
            "record them with `sparkscale bench`."
        )
    return comparisons


def _last_run(store: Store, commit: str, releases: tuple[str, ...]) -> list[RunRecord]:
    """Returns the records of the last `bench` run of the commit with these releases; empty if there is none."""
    by_run: dict[str, list[RunRecord]] = {}
    for record in store.records():
        if record.code.commit == commit:
            by_run.setdefault(record.invocation, []).append(record)
    for run in reversed(by_run):
        invocation = store.invocation(identity=run)
        if invocation.command == "bench" and invocation.environment == releases:
            return by_run[run]
    return []


def _fits(store: Store, records: Sequence[RunRecord]) -> list[float]:
    """Returns the seconds of each fit in the records of `fit_case()`; empty if there are no such records."""
    if not records:
        return []
    planned = fit_case()
    measured_suite = suite.load(store.invocation(identity=records[0].invocation).suite)
    point = planned_point(planned, FIT)
    pattern = planned.workload.pattern.name
    matching_records = [r for r in records if r.case.pattern == pattern and record_point(r, measured_suite) == point]
    return of_records(matching_records)["seconds_fit"].samples(matching_records) if matching_records else []


def _session_starts(records: Sequence[RunRecord]) -> list[float]:
    """Returns the seconds that the start of the session took in each JVM."""
    seconds_by_jvm = {
        record.jvm: record.session_seconds
        for record in records
        if record.case.cluster == CLUSTER and record.jvm and record.session_seconds is not None
    }
    return list(seconds_by_jvm.values())


def report(comparisons: list[Agreement]) -> RenderableType:
    table = Table(header_style="bold")
    for heading in ("environment", "control"):
        table.add_column(heading, overflow="fold")
    for heading in ("asv's clock, s", "the workers' clock, s", "ratio of medians"):
        table.add_column(heading, justify="right")
    table.add_column("", overflow="fold")
    for comparison in comparisons:
        ratio = (
            f"{comparison.asv.median / comparison.worker.median:.2f}" if comparison.asv and comparison.worker else "–"
        )
        table.add_row(
            comparison.environment,
            comparison.control,
            _spread_text(comparison.asv),
            _spread_text(comparison.worker),
            ratio,
            comparison.verdict,
        )
    note = (
        "Median (range) of n. asv times the same call in separate processes, after the run and without a memory "
        "limit: an engine's fit after two seconds of fits, and the start of a session in a fresh Python."
    )
    return Group(table, Text(note))


def _spread_text(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.3g} ({spread.low:.3g}–{spread.high:.3g}) of {spread.count}"
