"""A target loss belongs to data set, fraction, seed and metric; elsewhere there is none."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cluster import profile
from cluster.budget import budget
from sparkscale.contract.dataset import PreparedDataset
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import Outcome
from sparkscale.contract.seeds import Seeds
from sparkscale.contract.target import Target
from sparkscale.measure.plan import suite, targets
from sparkscale.measure.plan.cases import planned_cases
from sparkscale.measure.plan.filter import select_cases
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.builders import invocation, record
from tests.measure.observing import Silent
from workloads.datasets.table import Table
from workloads.libraries.tasks import Here
from workloads.registry import AnySource

NOW = datetime.now(UTC)


def losses(
    data: PreparedDataset, seeds: Seeds, store: Store | None = None, source: AnySource | None = None
) -> dict[str, float | None]:
    """The target of each workload of the suite `tuning`, on flights or else on another data set."""
    found = suite.load("tuning")
    found = found.on(source) if source else found
    granted = budget(profile.load("local"))
    cases = [case for case in planned_cases(found, clusters=("local",)) if case.engine.name == "optuna-joblib"]
    known = targets.known_targets(found, store, datetime.now(UTC)) if store else list(found.target)
    given = targets.with_targets(cases, {cases[0].dataset: data}, granted, seeds, known)
    return {case.workload.name: case.params.model_dump()["target_loss"] for case in given}


def test_the_frozen_targets_are_of_flights_and_one_seed(data: PreparedDataset) -> None:
    frozen = {"tuning.gradient_boosting": 0.4818, "tuning.random_forest": 0.4859, "tuning.mlp": 0.4853}
    assert losses(data, Seeds()) == frozen
    assert losses(data, Seeds(model=7)) == frozen
    none = dict.fromkeys(frozen)
    assert losses(data, Seeds(sample=1)) == none
    assert losses(data.model_copy(update={"dataset_id": "another"}), Seeds()) == none
    assert losses(data.model_copy(update={"task": "regression"}), Seeds())["tuning.gradient_boosting"] is None


def test_another_fraction_has_no_target(data: PreparedDataset) -> None:
    (case,) = [
        case
        for case in select_cases(planned_cases(suite.load("tuning"), clusters=("local",)), "engine=grid")
        if case.workload.name == "tuning.mlp" and case.params.model_dump()["sampler_seed"] == 1
    ]
    smaller = replace(case, fraction=1 / 32)
    granted = budget(profile.load("local"))
    given = targets.with_targets([case, smaller], {"flights": data}, granted, Seeds(), suite.load("tuning").target)
    assert [one.params.model_dump()["target_loss"] for one in given] == [0.4853, None]


def test_a_suite_does_not_give_a_target_to_whatever_it_is_run_on(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('[[measure]]\nworkload = "tuning.mlp"\nparams = { target_loss = 0.5 }\n')
    with pytest.raises(
        ConfigError, match=r"line 3: a target loss holds for one sample .* state it as \[\[target\]\]"
    ):
        suite.load(str(path))
    found = Target(
        workload="tuning.mlp", dataset_id="d", fraction=1 / 16, seed=3, metric="log_loss", loss=0.5, version=2
    )
    path.write_text(f'{found.toml}\n\n[[measure]]\nworkload = "tuning.mlp"\n')
    assert suite.load(str(path)).target == (found,)
    path.write_text(path.read_text().replace("tuning.mlp", "tuning.nothing", 1))
    with pytest.raises(ConfigError, match=r"unknown workload 'tuning\.nothing'"):
        suite.load(str(path))


def test_what_was_found_after_a_run_began_is_no_target_of_it(tmp_path: Path) -> None:
    search = record("r1")
    named = {"workload": "tuning.mlp", "engine": "optuna-joblib", "pattern": "tuning", "dataset_id": "table"}
    case = search.case.model_copy(update=named)
    search = search.model_copy(update={"case": case, "figures": {"best_loss": 0.41237}, "started_at": NOW})
    with Store.open(tmp_path) as store:
        store.begin(invocation(suite="tuning-target"))
        store.add(search, {})
        later = datetime.fromtimestamp(NOW.timestamp() + 1, UTC)
        (found,) = targets.known_targets(suite.load("quick"), store, later)
        assert (found.dataset_id, found.loss, found.metric) == ("table", 0.4165, "log_loss")
        assert targets.known_targets(suite.load("quick"), store, NOW) == []
        other = case.model_copy(update={"engine": "mllib-crossvalidator"})  # judges trials on other rows
        better = search.model_copy(update={"id": "r2", "case": other, "figures": {"best_loss": 0.1}})
        store.add(better, {})
        assert targets.known_targets(suite.load("quick"), store, later) == [found]


@pytest.mark.parametrize("outcome", ["failed", "invalid", "oom", "timeout", "unsupported"])
def test_a_search_that_is_not_ok_finds_no_target(outcome: Outcome) -> None:
    search = record("r1").model_copy(update={"figures": {"best_loss": 0.4}})
    found = Target.found_by(search, "log_loss")
    assert found is not None
    assert found.loss == 0.404
    assert Target.found_by(search.model_copy(update={"outcome": outcome}), "log_loss") is None


@pytest.mark.slow
@pytest.mark.usefixtures("one_pass")
def test_a_users_table_gets_a_target_of_its_own(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 8000))
    pd.DataFrame({"a": a, "b": b, "y": a * b + draw.normal(size=8000)}).to_parquet(tmp_path / "t.parquet")
    table = Table(path=str(tmp_path / "t.parquet"), label="y")
    data = table.prepare(str(profile.cache_folder()), Here())
    asked = Request(
        suite="tuning-target",
        out=tmp_path / "out",
        data=table,
        filter="workload=tuning.gradient_boosting,engine=optuna-joblib",
        clusters=("local",),
    )
    searched = running.measure(asked, Silent)
    assert {found.outcome for found in searched.records} == {"ok"}
    assert {found.case.params["target_loss"] for found in searched.records} == {None}
    with Store.existing(tmp_path / "out") as store:
        target = losses(data, Seeds(), store, table)["tuning.gradient_boosting"]
        assert target is not None
        assert 0.9 < target < 1.5
        assert losses(data, Seeds(), None, table)["tuning.gradient_boosting"] is None, "before, it had none"
        assert losses(data, Seeds(sample=1), store, table)["tuning.gradient_boosting"] is None
        text = shown(store, store.invocation("tuning-target"))
    assert f"loss = {target:g}" in text
    assert 'metric = "rmse"' in text
    finished = running.measure(replace(asked, suite="tuning", rounds=1), Silent)
    assert {found.outcome for found in finished.records} == {"ok"}
    assert [found.case.params["target_loss"] for found in finished.records if not found.is_warmup] == [target] * 3
