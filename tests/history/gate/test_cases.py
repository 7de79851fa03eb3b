"""One suite block for each case: the files that both sides of a gate read."""

from pathlib import Path

import pytest

from sparkscale.history.gate.cases import matching_blocks, single_cases, write_suite
from sparkscale.history.gate.state import label
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import PlannedCase, planned_cases
from tests.builders import case_of
from workloads import registry

OWN = """
clusters = ["{profile}"]

[dataset.mine]
path = "rows.parquet"
label = "y"

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "sklearn"]
datasets = ["mine", "flights"]
fractions = ["1/64", "1"]
sweep = {{ trees = [10, 20] }}
rounds = 1
"""


def compared(cases: list[PlannedCase]) -> set[tuple[object, ...]]:
    """The cases without their order and their rounds."""
    return {
        (
            *(one.key(name) for name in ("workload", "engine", "cluster", "dataset", "fraction", "device", "set")),
            str(one.params),
            one.capacity,
            one.isolate,
            one.threads,
        )
        for one in cases
    }


@pytest.mark.parametrize("name", suite.names())
def test_a_written_suite_has_the_cases_of_the_suite(name: str, tmp_path: Path) -> None:
    whole = suite.load(name)
    single = single_cases(whole)
    path = write_suite(single, single.measure, tmp_path / "suite")
    written = suite.load(str(path))
    assert written.name == name
    assert compared(planned_cases(written)) == compared(planned_cases(whole))
    assert len(planned_cases(written)) == len(written.measure) * len(written.clusters)
    assert all(one.rounds == 1 for one in planned_cases(written))
    assert {key: written.source(key) for key in whole.dataset} == {key: whole.source(key) for key in whole.dataset}
    assert (written.target, written.deadline_seconds) == (whole.target, whole.deadline_seconds)
    labels = [label(block) for block in single.measure]
    assert len(set(labels)) == len(labels)


def test_paths_of_a_suite_hold_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "profile.toml").write_text('kind = "local"\n')
    (tmp_path / "own.toml").write_text(OWN.format(profile="profile.toml"))
    monkeypatch.chdir(tmp_path)
    single = single_cases(suite.load(str(tmp_path / "own.toml")))
    path = write_suite(single, single.measure, tmp_path / "elsewhere")
    monkeypatch.chdir("/")
    written = suite.load(str(path))
    assert written.clusters == (str(tmp_path / "profile.toml"),)
    assert written.source("mine").model_dump()["path"] == str(tmp_path / "rows.parquet")


def test_undecided_cases_are_recognized_whatever_their_seeds_and_settings_from_the_data() -> None:
    whole = single_cases(
        suite.Suite.model_validate(
            {
                "name": "two",
                "measure": [
                    {
                        "workload": "data_parallel.gradient_boosting",
                        "engines": ["xgboost", "sklearn"],
                        "fractions": ["1/64", "1/4"],
                        "sets": ["aligned", "defaults"],
                        "sweep": {"trees": [10, 20]},
                    }
                ],
            }
        )
    )
    assert len(whole.measure) == 16
    params = registry.workloads()["data_parallel.gradient_boosting"].params.changed({"trees": 20})
    stated = {"set": "aligned", **params.model_dump(mode="json"), "arguments": {"eta": 1}}
    measured = case_of(
        workload="data_parallel.gradient_boosting",
        pattern="data_parallel",
        engine="xgboost",
        dataset="flights",
        fraction=1 / 4,
        sample_seed=7,
        model_seed=8,
        version=99,
        params=stated,
    )
    (block,) = matching_blocks(whole, whole.measure, [measured])
    assert label(block) == "data_parallel.gradient_boosting xgboost flights 1/4 trees=20"
    assert not matching_blocks(whole, whole.measure, [measured.model_copy(update={"engine": "mllib"})])
    smaller = [one for one in whole.measure if one != block]
    assert not matching_blocks(whole, smaller, [measured])
