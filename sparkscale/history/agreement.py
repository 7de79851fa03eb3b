"""What asv timed itself against what the workers' clocks say of the same calls."""

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
from sparkscale.history.grid import of_planned, of_record
from sparkscale.measure.plan import suite
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Agreement:
    """Seconds of one call by two clocks: asv's, in a process of its own, and the workers'."""

    environment: str
    control: str
    asv: Spread | None
    worker: Spread | None

    @property
    def verdict(self) -> str:
        if self.asv is None:
            return "asv has no such control: `sparkscale bench` records it"
        if self.worker is None:
            return "the run measured no such case"
        if self.asv.low <= self.worker.high and self.worker.low <= self.asv.high:
            return "ranges overlap"
        return "differ"


def agreements(checkout: Checkout, host: str, store: Store) -> list[Agreement]:
    """Of each environment in which the present commit was recorded on this host.

    Raises ConfigError when there is none.
    """
    from asv.results import Results, iter_results_for_machine_and_hash

    found = []
    results: Results
    for results in iter_results_for_machine_and_hash(checkout.results, f"{host}-{CLUSTER}", checkout.commit):
        if not results.env_name.startswith("sparkscale-"):
            continue
        wanted = dict(results._requirements)
        wanted.pop(next(iter(DIRTY)), None)
        records = _last_run(store, checkout.commit, tuple(f"{name}=={one}" for name, one in sorted(wanted.items())))
        for control, worker in zip(CONTROLS, (_fits(store, records), _session_starts(records)), strict=True):
            known = control in results.get_all_result_keys()
            samples = (results.get_result_samples(control, []) or [None])[0] if known else None
            found.append(Agreement(results.env_name, CONTROLS[control], Spread.of(samples or []), Spread.of(worker)))
    if not found:
        raise ConfigError(
            f"asv has nothing of commit {checkout.commit[:8]} on {host}-{CLUSTER}: record it with `sparkscale bench`."
        )
    return found


def _last_run(store: Store, commit: str, releases: tuple[str, ...]) -> list[RunRecord]:
    """Records of the commit's last run on these releases; none where there is none."""
    by_run: dict[str, list[RunRecord]] = {}
    for record in store.records():
        if record.code.commit == commit:
            by_run.setdefault(record.invocation, []).append(record)
    for run in reversed(by_run):
        found = store.invocation(identity=run)
        if found.command == "bench" and found.environment == releases:
            return by_run[run]
    return []


def _fits(store: Store, records: Sequence[RunRecord]) -> list[float]:
    if not records:
        return []
    planned = fit_case()
    of_suite = suite.load(store.invocation(identity=records[0].invocation).suite)
    point = of_planned(planned, FIT)
    pattern = planned.workload.pattern.name
    same = [r for r in records if r.case.pattern == pattern and of_record(r, of_suite) == point]
    return of_records(same)["seconds_fit"].samples(same) if same else []


def _session_starts(records: Sequence[RunRecord]) -> list[float]:
    """One for each JVM."""
    found = {
        record.jvm: record.session_seconds
        for record in records
        if record.case.cluster == CLUSTER and record.jvm and record.session_seconds is not None
    }
    return list(found.values())


def report(found: list[Agreement]) -> RenderableType:
    table = Table(header_style="bold")
    for name in ("environment", "control"):
        table.add_column(name, overflow="fold")
    for name in ("asv's clock, s", "the workers' clock, s", "ratio of medians"):
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    for one in found:
        ratio = f"{one.asv.median / one.worker.median:.2f}" if one.asv and one.worker else "–"
        table.add_row(one.environment, one.control, _shown(one.asv), _shown(one.worker), ratio, one.verdict)
    note = (
        "Median (range) of n. asv times the same call in processes of its own, after the run and without a memory "
        "limit: an engine's fit after two seconds of fits, and the start of a session in a fresh Python."
    )
    return Group(table, Text(note))


def _shown(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.3g} ({spread.low:.3g}–{spread.high:.3g}) of {spread.count}"
