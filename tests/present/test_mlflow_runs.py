"""Descriptions of cases for MLflow, and the options of `sparkscale export --to mlflow`. MLflow is not needed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkscale.present.mlflow_runs import Described, described
from sparkscale.store.discreet import DiscreetStore
from sparkscale.store.store import Store
from tests.builders import Writer, case, case_of, invocation
from tests.calling import called
from tests.conftest import Call


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store with one run, which has no records yet."""
    with Store.open(tmp_path) as opened:
        opened.begin(invocation())
        yield opened


def runs_of(store: Store) -> list[Described]:
    view = DiscreetStore(store)
    return described(view, view.invocation())


def test_a_run_without_records_has_only_a_parent(store: Store) -> None:
    [parent] = runs_of(store)
    assert (parent.name, parent.has_result, parent.params, parent.points) == ("quick one", False, {}, ())
    Writer(store)(case("xgboost", 1), 1, seconds=1.0, temperature="warmup")
    assert len(runs_of(store)) == 1


def test_cases_that_differ_only_in_seeds_are_one(store: Store) -> None:
    write = Writer(store)
    for seed in (1, 2):
        write(case("xgboost", 0.25, seed=seed), seed, seconds=seed)
        write(case("xgboost", 0.5, seed=seed), seed, seconds=seed)
        write(case("xgboost", 0.5, "tuned", seed=seed), seed, seconds=seed)
    _, *cases = runs_of(store)
    assert [one.name for one in cases] == [
        "gradient_boosting xgboost flights 1/4 local cpu",
        "gradient_boosting xgboost flights 1/2 local cpu",
        "gradient_boosting xgboost (tuned) flights 1/2 local cpu",
    ]
    for one in cases:
        assert [(p.round, p.value) for p in one.points if p.metric == "time_to_model"] == [(1, 1.0), (2, 2.0)]


def test_a_description_changes_with_each_new_round(store: Store) -> None:
    write = Writer(store)
    write(case("xgboost", 1, seed=1), 1, seconds=1.0)
    write(case("sklearn", 1, seed=1), 1, seconds=1.0)
    before = {one.name: one.digest for one in runs_of(store)}
    assert before == {one.name: one.digest for one in runs_of(store)}
    write(case("xgboost", 1, seed=2), 2, seconds=1.0)
    changed = [one.name for one in runs_of(store) if before[one.name] != one.digest]
    assert changed == ["quick one", "gradient_boosting xgboost flights 1 local cpu"]


def test_names_and_values_have_the_lengths_and_characters_of_mlflow(store: Store) -> None:
    params = {"set": "aligned", "a:b": 1, "a/b": 2, "é ü": None, "long" * 90: [1, 2], "arguments": {"..": "y" * 9000}}
    seen = case_of(workload="data_parallel.gradient_boosting", pattern="data_parallel", params=params)
    Writer(store)(seen, 1, seconds=1.0)
    _, run = runs_of(store)
    assert (run.params["params.a_b"], run.params["params.a_b.2"], run.params["params.é ü"]) == ("1", "2", "null")
    assert len(run.params["arguments..."]) == 6000
    assert max(len(name) for name in run.params) == 245
    assert "[1, 2]" in run.params.values()
    assert list(run.files) == ["parameters.json"]
    assert all(0 < len(text) <= 5000 for text in run.tags.values())


def test_measurements_of_others_have_their_values_and_no_host(tmp_path: Path) -> None:
    """Nobody knows when they started, with how many threads, or on which host."""
    lines = ("engine,rows,seconds,round,outcome", "xgboost,1e6,3.5,0,ok", "xgboost,1e6,3.7,1,ok", "mllib,1e6,,0,oom")
    (tmp_path / "others.csv").write_text("\n".join(lines))
    assert called("import", str(tmp_path / "others.csv"), "--out", str(tmp_path)).returncode == 0
    with Store.existing(tmp_path) as store:
        parent, xgboost, mllib = runs_of(store)
    assert [(p.round, p.value) for p in xgboost.points if p.metric == "time_to_model"] == [(0, 3.5), (1, 3.7)]
    assert "threads" not in xgboost.params
    assert xgboost.tags["host"] == "measured and published by others"
    assert (mllib.points, mllib.has_result, mllib.tags["outcomes"]) == ((), False, "1 oom")
    assert (parent.has_result, parent.started) == (True, xgboost.started)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--to", "mlflow", "--format", "json"), "--to mlflow excludes --format; a file of this name is ./mlflow."),
        (("--to", "mlflow", "--experiment", ""), "--experiment has no value."),
        (("--to", "mlflow", "--tracking-uri", ""), "--tracking-uri has no value."),
        (("--to", "mlflow", "--condensed"), "--condensed needs --format archive."),
        (("--tracking-uri", "http://x"), "--tracking-uri needs --to mlflow."),
        (("--experiment", "x", "--to", "x.json"), "--experiment needs --to mlflow."),
        (("--anonymous",), "--anonymous needs --to mlflow."),
    ],
)
def test_options_that_exclude_each_other(
    sparkscale: Call, store: Store, arguments: tuple[str, ...], sentence: str
) -> None:
    folder = store.path.parent
    done = sparkscale("export", *arguments, "--out", str(folder), cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"Error: {sentence}\n")
    assert [one.name for one in folder.iterdir() if "records" not in one.name] == []


def test_a_file_may_have_the_name_of_mlflow(sparkscale: Call, store: Store) -> None:
    folder = store.path.parent
    done = sparkscale("export", "--to", str(folder / "mlflow"), "--out", str(folder))
    assert (done.returncode, (folder / "mlflow").read_text()) == (0, "[]")


def test_a_missing_package_is_named(sparkscale: Call, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)  # Python then has no module of this name
    done = sparkscale("export", "--to", "mlflow", "--out", str(store.path.parent))
    assert (done.returncode, done.stderr) == (
        2,
        "Error: --to mlflow needs the package mlflow: pip install 'sparkscale[mlflow]'.\n",
    )


def test_a_search_for_the_smallest_heap_is_not_exported(sparkscale: Call, store: Store) -> None:
    store.begin(invocation("search", day=2).model_copy(update={"command": "heap"}))
    done = sparkscale("export", "--to", "mlflow", "--run", "search", "--out", str(store.path.parent))
    assert done.returncode == 2
    assert "Run search is a search for the smallest heap" in done.stderr
