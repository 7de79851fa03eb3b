"""Every workload's cases stand in a table, sorted by the order of its own engines."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sparkscale.analysis import every_metric
from sparkscale.analysis.patterns.inference import comparison as inference
from sparkscale.analysis.patterns.per_group import comparison as per_group
from sparkscale.analysis.patterns.tuning import comparison as tuning
from sparkscale.analysis.report import breakdown
from sparkscale.contract.case import Case
from sparkscale.contract.dataset import Moments
from sparkscale.contract.record import GROUPS, SCORES, TRIALS, CodeState, Resources, RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import case_of, stored
from workloads import registry
from workloads.base import Engine, Sample, Workload
from workloads.tuning.trials import TrialResult, table_of, trial_of

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ROWS, UNITS = 400, 40
LABELS = Moments(rows=ROWS, mean=0.5, squares=ROWS / 4)
SECONDS = 7.25

Tables = dict[str, pa.Table]


def scores() -> Tables:
    unit = np.arange(ROWS) % UNITS
    label = np.arange(ROWS) % 3 % 2
    score = 0.6 * label + 0.2
    return {SCORES: pa.table({"row": np.arange(ROWS), "unit": unit, "label": label, "score": score})}


def groups() -> Tables:
    return {GROUPS: pa.table({"key": ["a"], "outcome": ["ok"], "error": pa.array([None], pa.string())})}


def trials() -> Tables:
    answer = TrialResult(0.4, "ok", None, 0.0, 2.0, "here/1", "", None)
    return {TRIALS: table_of([trial_of(0, {"depth": 2}, answer, 0.0, 2.0, 0.0)]), **scores()}


TABLES: dict[str, Callable[[], Tables]] = {
    "data_parallel": scores,
    "per_group": groups,
    "tuning": trials,
    "inference": dict,
}


def case(workload: Workload, engine: type[Engine]) -> Case:
    task = next(iter(workload.quality.judged_by))
    return case_of(
        workload=workload.name,
        version=workload.version,
        pattern=workload.pattern.name,
        task=task,
        engine=engine.name,
        placement=engine.placement,
        dataset="made-up",
        dataset_id="d",
        rows=ROWS,
        fraction=1.0,
        params=engine().case_params("aligned", workload.params, Sample(task, ROWS, 3, ("device",), LABELS))
        | ({"by": "device"} if workload.pattern.report == "per_group" else {}),
    )


def record(store: Store, workload: Workload, engine: type[Engine]) -> RunRecord:
    """An ok record of this engine, with every phase, quality and figure that its workload declares."""
    phases = workload.pattern.phases
    kept = RunRecord(
        id=f"{workload.name} {engine.name}",
        suite="quick",
        invocation="one",
        started_at=NOW,
        round=1,
        jvm=None,
        temperature="warm",
        isolated=False,
        case=case(workload, engine),
        outcome="ok",
        error=None,
        seconds={phase: SECONDS if phase in workload.pattern.time_to_model[-1:] else 0.0 for phase in phases},
        quality=dict.fromkeys((*workload.quality.judged_by.values(), *workload.quality.beside), 0.5),
        figures=dict.fromkeys(workload.figure_names, 1.0),
        resources=Resources(cores=2, threads=2, cpu_seconds=2.0),
        spark=None,
        code=CodeState(commit="c", dirty=False),
        host=store.describe("host", {"cpu": "Test", "usable_cores": 2, "memory_bytes": 2**34, "os": "Linux"}),
        software="s",
        session=None,
        workload=store.describe("workload", workload.description.model_dump(mode="json")),
        description=workload.description,
    )
    tables = TABLES[workload.pattern.report]()
    store.add(kept, {name: stored(table) for name, table in tables.items()})
    return kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path) as opened:
        opened.begin(Invocation(id="one", suite="quick", started_at=NOW, seed=0, rounds=1, filter=None, executions=0))
        yield opened


@pytest.mark.parametrize("name", registry.workloads())
def test_every_workload_yields_a_table(store: Store, name: str) -> None:
    """Nearest neighbours had none: their pattern has a name of its own, and tables were chosen by names."""
    workload = registry.workloads()[name]
    for engine in workload.engines:
        record(store, workload, engine)
    text = shown(store, width=200)
    assert f"{name} on made-up" in text
    for engine in workload.engines:
        rows = [line for line in text.splitlines() if line.startswith(("│", "┃")) and f"│ {engine.name} " in line]
        assert any(re.search(r"\d\.\d", row) for row in rows), f"{engine.name} has no figure in:\n{text}"


@pytest.mark.parametrize(("planned", "is_missing"), [(1, False), (2, True)])
def test_a_report_asks_to_resume_only_a_run_with_missing_executions(
    store: Store, planned: int, is_missing: bool
) -> None:
    workload = registry.workloads()["data_parallel.gradient_boosting"]
    record(store, workload, workload.engine("sklearn"))
    text = " ".join(shown(store, store.invocation().model_copy(update={"executions": planned})).split())
    expected = "1 of 2 executions were measured: go on with `sparkscale run --resume`."
    assert (expected in text) == is_missing
    assert ("executions were measured" in text) == is_missing


def test_the_parts_of_a_runs_wall_time_are_shares_and_the_rest_is_named() -> None:
    found = breakdown(200.0, [("phases", 100.0), ("starting", 50.0), ("preparing", 20.0)], {})
    assert found.text == (
        "Wall time 200 s: 50.0% inside phases, 25.0% starting workers, JVMs and sessions, 10.0% preparing data, "
        "15.0% everything else."
    )


def test_every_metric_names_patterns_that_declare_it() -> None:
    found = every_metric.metrics(registry.descriptions())
    assert found["error_rate"].patterns == ("data_parallel_lazy",)
    assert set(found["auc_loss"].patterns) == {"data_parallel", "tuning"}
    assert found["task_skew"].patterns == ("per_group",)
    assert {name for name, metric in found.items() if not metric.patterns} == {
        "time_to_model",
        "rows_per_second",
        "seconds_per_million_rows",
        "peak_memory",
        "memory_needed",
    }


@pytest.mark.parametrize("report", ["per_group", "tuning", "inference"])
def test_engines_are_sorted_by_the_order_of_their_own_workload(store: Store, report: str) -> None:
    """Two workloads have the same engines in opposite orders: neither may be sorted by the other's."""
    every = registry.workloads()
    first, second = [workload for workload in every.values() if workload.pattern.report == report][:2]
    common = [engine.name for engine in first.engines if engine.name in {other.name for other in second.engines}]
    turned = replace(second, engines=tuple(second.engine(name) for name in reversed(common)))
    records = [record(store, workload, workload.engine(name)) for workload in (first, turned) for name in common]
    orders = {
        "per_group": lambda: [
            [variant.engine for variant in one.variants] for one in per_group.comparisons(store, records)
        ],
        "tuning": lambda: [
            [variant.engine for variant in one.searches] for one in tuning.comparisons(store, records)
        ],
        "inference": lambda: [[variant.engine for variant in one.variants] for one in inference.comparisons(records)],
    }[report]()
    assert orders == [common, common[::-1]]
