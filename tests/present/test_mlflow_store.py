"""Runs in MLflow: what `sparkscale export --to mlflow` writes to a local store, read back with MLflow's client."""

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it when it is imported
mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'sparkscale[mlflow]'")

from sparkscale.contract.errors import ConfigError  # noqa: E402
from sparkscale.contract.record import RunRecord  # noqa: E402
from sparkscale.present import mlflow_store  # noqa: E402
from sparkscale.present.mlflow_runs import described  # noqa: E402
from sparkscale.store.discreet import DiscreetStore  # noqa: E402
from sparkscale.store.store import Store  # noqa: E402
from tests.builders import Writer, case, case_of, invocation  # noqa: E402
from tests.calling import called  # noqa: E402
from tests.conftest import Call  # noqa: E402

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated"
)  # of SQLAlchemy in MLflow

QUICK = Path(__file__).parents[2] / "docs" / "results" / "records" / "quick.parquet"
QUICK_CASES = 28


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with one run, which has no records yet."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with Store.open(tmp_path) as opened:
        opened.begin(invocation())
        yield opened


def exported(store: Store, report: str = "<p>report</p>", is_anonymous: bool = False) -> mlflow_store.Exported:
    """Exports the store's run to a database beside it."""
    view = DiscreetStore(store, is_anonymous)
    runs = described(view, view.invocation())
    with mlflow_store.opened(None, store.path.parent) as tracking:
        return tracking.write("one", "experiment", is_anonymous, runs, lambda: report)


def runs_of(folder: Path, experiment: str = "experiment") -> tuple[Any, list[Any]]:
    """Returns a client for the database in a folder, and all runs of the experiment."""
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
    identity = client.get_experiment_by_name(experiment).experiment_id
    return client, list(client.search_runs([identity], max_results=1000))


def children(runs: list[Any]) -> dict[str, Any]:
    """Returns the runs of cases by name. They must all lie below one parent."""
    parents = [one for one in runs if "mlflow.parentRunId" not in one.data.tags]
    assert len(parents) == 1
    below = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert len(below) == len(runs) - 1
    return {one.info.run_name: one for one in below}


def steps(client: Any, run: Any, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, metric)]


def with_failures(store: Store) -> None:
    write = Writer(store, change=lambda record: {"quality": {"auc": 0.9}} if record.isolated else {})
    for number in (1, 2, 3):
        write(case("xgboost", 0.25, seed=number), number, seconds=9, temperature="warmup")
        write(case("xgboost", 0.25, seed=number), number, seconds=number)
        timeout = number == 2
        write(case("sklearn", 1, seed=number), number, None if timeout else 4.0, "timeout" if timeout else "ok")
        write(case("mllib", 1, "tuned", seed=number), number, outcome="oom")
    write(case("xgboost", 0.25, seed=3), 3, seconds=9, temperature="cold", isolated=True, peak=2**30)


def test_a_case_is_one_run_with_a_value_for_each_round(store: Store, tmp_path: Path) -> None:
    with_failures(store)
    assert exported(store) == mlflow_store.Exported(new=3)
    client, runs = runs_of(tmp_path)
    run = children(runs)["gradient_boosting xgboost flights 1/4 local cpu"]
    assert steps(client, run, "time_to_model") == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert steps(client, run, "seconds_fit") == [(1, 0.75), (2, 1.5), (3, 2.25)]
    assert dict(steps(client, run, "auc_loss")) == pytest.approx({1: 0.3, 2: 0.3, 3: 0.3})
    assert steps(client, run, "peak_memory") == [(3, 2.0**30)]
    params, tags = run.data.params, run.data.tags
    assert {name: params[name] for name in ("engine", "data_set", "fraction", "threads", "parameter_set")} == {
        "engine": "xgboost",
        "data_set": "flights",
        "fraction": "0.25",
        "threads": "2",
        "parameter_set": "aligned",
    }
    assert params["arguments.trees"] == "10"
    assert (params["rows"], tags["varies.rows"]) == ("16001", "16001, 16002, 16003")
    assert (tags["unit.time_to_model"], tags["unit.peak_memory"]) == ("s", "bytes")
    assert tags["host"] == "Test CPU, 2 cores, 16 GiB, Linux, 2 × Test GPU"
    assert (tags["commit"], tags["mlflow.source.git.commit"], tags["dirty"]) == ("c", "c", "false")
    assert (tags["suite"], tags["sparkscale.run"], tags["outcomes"]) == ("quick", "one", "4 ok")
    assert tags["records"] == "r2, r6, r10, r13"
    assert "error" not in tags
    assert run.info.status == "FINISHED"
    assert run.info.start_time == 1795305600000
    assert run.info.end_time == run.info.start_time + 9500


def test_an_execution_without_a_result_is_seen(store: Store, tmp_path: Path) -> None:
    with_failures(store)
    exported(store)
    client, runs = runs_of(tmp_path)
    cases = children(runs)
    partly, never = (cases[f"gradient_boosting {name} flights 1 local cpu"] for name in ("sklearn", "mllib (tuned)"))
    assert steps(client, partly, "time_to_model") == [(1, 4.0), (3, 4.0)]
    assert partly.data.tags["outcomes"] == "2 ok, 1 timeout"
    assert partly.data.tags["error"] == "timeout in round 2: because timeout"
    assert partly.info.status == "FINISHED"
    assert (never.data.metrics, never.info.status, never.data.tags["outcomes"]) == ({}, "FAILED", "3 oom")
    assert never.data.tags["error"] == "oom in round 1: because oom"


def test_a_second_export_adds_nothing_and_a_later_round_is_added(store: Store, tmp_path: Path) -> None:
    write = Writer(store)
    write(case("xgboost", 1, seed=1), 1, seconds=2.0)
    write(case("sklearn", 1, seed=1), 1, outcome="failed")
    assert exported(store, "<p>early</p>").new == 2
    assert exported(store, "<p>never</p>") == mlflow_store.Exported(unchanged=2)
    client, runs = runs_of(tmp_path)
    [parent] = [one for one in runs if one.data.tags["sparkscale.case"] == "all"]
    assert Path(client.download_artifacts(parent.info.run_id, "report.html")).read_text() == "<p>early</p>"
    write(case("xgboost", 1, seed=2), 2, seconds=3.0)
    write(case("sklearn", 1, seed=1), 1, seconds=4.0)
    assert exported(store, "<p>late</p>") == mlflow_store.Exported(updated=2)
    _, later = runs_of(tmp_path)
    assert {one.info.run_id for one in later} == {one.info.run_id for one in runs}
    cases = children(later)
    xgboost, sklearn = (cases[f"gradient_boosting {name} flights 1 local cpu"] for name in ("xgboost", "sklearn"))
    assert steps(client, xgboost, "time_to_model") == [(1, 2.0), (2, 3.0)]
    assert steps(client, sklearn, "time_to_model") == [(1, 4.0)]
    assert (sklearn.info.status, "error" in sklearn.data.tags) == ("FINISHED", False)
    assert Path(client.download_artifacts(parent.info.run_id, "report.html")).read_text() == "<p>late</p>"


def test_repeating_an_interrupted_export_completes_it(store: Store, tmp_path: Path) -> None:
    """The first export ends before the report, and one case has only been begun."""
    with_failures(store)
    view = DiscreetStore(store)
    runs = described(view, view.invocation())

    def interrupted() -> str:
        raise KeyboardInterrupt

    with mlflow_store.opened(None, tmp_path) as tracking, pytest.raises(KeyboardInterrupt):
        tracking.write("one", "experiment", False, runs, interrupted)
    client, begun = runs_of(tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
        run = children(begun)["gradient_boosting xgboost flights 1/4 local cpu"].info.run_id
        for table in ("metrics", "latest_metrics", "params"):
            base.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run,))
        base.execute("DELETE FROM tags WHERE run_uuid = ? AND key = 'sparkscale.exported'", (run,))
        base.commit()
    assert exported(store) == mlflow_store.Exported(updated=1, unchanged=2)
    _, complete = runs_of(tmp_path)
    assert len(complete) == 4
    again = client.get_run(run)
    assert again.data.params["engine"] == "xgboost"
    assert len(steps(client, again, "time_to_model")) == 3
    [parent] = [one for one in complete if one.data.tags["sparkscale.case"] == "all"]
    assert (parent.info.status, parent.data.tags["executions"]) == ("FINISHED", "10 of 10")
    assert [one.path for one in client.list_artifacts(parent.info.run_id)] == ["report.html"]


def test_what_mlflow_cannot_hold_is_in_an_artifact_and_in_more_tags(store: Store, tmp_path: Path) -> None:
    """A long value, a long name, a forbidden character, more than 100 parameters and 5000 characters of records."""
    many = {f"p{number}": number for number in range(150)}
    params = {"set": "aligned", "long": "x" * 7000, "n" * 300: 1, "a/b": 2, **many, "arguments": {"seed": 1}}
    kept = {"pattern": "data_parallel", "workload": "data_parallel.gradient_boosting", "params": params}
    write = Writer(store, change=lambda record: {"id": record.id.rjust(40, "0")})
    for number in range(1, 151):
        write(case_of(**kept, sample_seed=number), number, seconds=1.0)
    exported(store)
    client, runs = runs_of(tmp_path)
    [run] = children(runs).values()
    shown = run.data.params
    assert len(shown) == 14 + len(params) - 1
    assert shown["params.long"] == "x" * 5999 + "…"
    assert (shown["params.a_b"], shown["params.p149"]) == ("2", "149")
    whole = json.loads(Path(client.download_artifacts(run.info.run_id, "parameters.json")).read_text())
    assert whole["params.long"] == "x" * 7000
    assert whole[f"params.{'n' * 300}"] == 1
    tags = run.data.tags
    records = (tags["records"] + tags["records.2"]).split(", ")
    assert records == [record.id for record in store.records()]
    assert len(steps(client, run, "time_to_model")) == 150


def test_tags_of_an_earlier_export_that_no_longer_hold_are_deleted(store: Store, tmp_path: Path) -> None:
    """All rounds are repeated without an error and with shorter ids, as by `sparkscale run --retry-failed`."""
    long = {number: f"{number:05}" * 20 for number in range(1, 61)}
    write = Writer(store, change=lambda record: {"id": long[record.round]})
    for number in long:
        write(case("xgboost", 1, seed=number), number, outcome="failed")
    exported(store)
    client, runs = runs_of(tmp_path)
    [run] = children(runs).values()
    assert {"records", "records.2", "error", "varies.rows"} < set(run.data.tags)
    gone = ("records.2", "error", "varies.rows.2", "version.removed", "unit.removed", "mlflow.note.content.2")
    for name in gone[2:]:
        client.set_tag(run.info.run_id, name, "left over")
    kept = {"team": "search", "records.of": "me", "version": "mine", "hosted": "here"}
    for name, text in kept.items():
        client.set_tag(run.info.run_id, name, text)
    again = Writer(store, change=lambda record: {"id": f"again-{record.round}"})
    for number in long:
        again(case("xgboost", 1, seed=number), number, seconds=1.0)
    exported(store)
    _, later = runs_of(tmp_path)
    [run] = children(later).values()
    tags = run.data.tags
    assert tags["records"].startswith("again-1, again-2, ")
    assert not set(gone) & set(tags)
    assert "varies.rows" in tags
    assert {name: tags[name] for name in kept} == kept
    assert tags["mlflow.runName"] == "gradient_boosting xgboost flights 1 local cpu"


def test_names_that_a_reader_does_not_need_are_left_out(store: Store, tmp_path: Path) -> None:
    cluster = "spark://master-7.corp:7077"

    def change(record: RunRecord) -> dict[str, Any]:
        params = {"set": "aligned", "table": "/home/ada/private/sales.parquet", "arguments": {}}
        return {"case": record.case.model_copy(update={"cluster": cluster, "params": params})}

    Writer(store, change=change)(case("xgboost", 1), 1, outcome="failed")
    exported(store)
    _, runs = runs_of(tmp_path)
    [run] = children(runs).values()
    assert run.data.params["params.table"] == "…/sales.parquet"
    assert exported(store, is_anonymous=True).new == 1
    _, runs = runs_of(tmp_path)
    [anonymous] = [
        one for one in runs if one.data.tags["sparkscale.anonymous"] == "true" and "engine" in one.data.params
    ]
    assert anonymous.data.params["params.table"] == "<path>"
    for one in (run, anonymous):
        text = json.dumps([one.info.run_name, one.data.params, one.data.tags])
        assert "ada" not in text
        assert "master-7" not in text


def test_a_run_of_the_documentation_is_exported_with_its_report(sparkscale: Call, tmp_path: Path) -> None:
    assert called("import", str(QUICK), "--out", str(tmp_path)).returncode == 0
    done = sparkscale("export", "--to", "mlflow", "--out", str(tmp_path), env={"MLFLOW_TRACKING_URI": ""})
    assert done.returncode == 0, done.stderr
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert f"in experiment sparkscale/quick: {QUICK_CASES} new cases, 0 updated, 0 unchanged.\n" in done.stdout
    assert f"Store: {uri}\nLook at it with `mlflow ui --backend-store-uri {uri}`" in done.stdout
    client, runs = runs_of(tmp_path, "sparkscale/quick")
    assert len(children(runs)) == QUICK_CASES
    with Store.existing(tmp_path) as store:
        records = [one for one in store.records() if one.outcome == "ok" and one.temperature == "warm"]
    expected = {record.id: sum(record.seconds[phase] for phase in ("load", "fit")) for record in records}
    values = [value for run in children(runs).values() for _, value in steps(client, run, "time_to_model")]
    assert sorted(values) == pytest.approx(sorted(expected.values()))
    [parent] = [one for one in runs if one.data.tags["sparkscale.case"] == "all"]
    assert (parent.data.tags["version.xgboost"], parent.data.tags["executions"]) == ("3.2.0", "88 of 88")
    page = Path(client.download_artifacts(parent.info.run_id, "report.html")).read_text()
    assert page.startswith("<!doctype html>")
    assert "suite quick" in page
    assert (tmp_path / "mlflow-artifacts").is_dir()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--run", "nothing"), "There is no run nothing"),
        (("--format", "json"), "--to mlflow excludes --format"),
        (("--experiment", ""), "--experiment has no value"),
        (("--tracking-uri", "sqlite:///"), "sqlite:/// names no file"),
        (
            ("--tracking-uri", "mlruns"),
            "mlruns is no address of a server and no database, and MLflow no longer writes directories",
        ),
        (("--tracking-uri", f"sqlite:///{QUICK}"), "quick.parquet is no SQLite database"),
        (("--tracking-uri", "sqlite:////proc/none/x.db"), "/proc/none/x.db cannot be written"),
        (("--tracking-uri", "http://user:geheim@127.0.0.1:9"), "@127.0.0.1:9 does not answer: start it"),
    ],
)
def test_a_mistake_is_one_sentence(sparkscale: Call, store: Store, arguments: tuple[str, ...], sentence: str) -> None:
    Writer(store)(case("xgboost", 1), 1, seconds=1.0)
    folder = store.path.parent
    done = sparkscale("export", "--to", "mlflow", *arguments, "--out", str(folder), cwd=folder)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert "geheim" not in done.stderr


def test_a_deleted_experiment_is_named(store: Store, tmp_path: Path) -> None:
    Writer(store)(case("xgboost", 1), 1, seconds=1.0)
    exported(store)
    client, runs = runs_of(tmp_path)
    client.delete_experiment(runs[0].info.experiment_id)
    with pytest.raises(ConfigError, match="experiment was deleted in MLflow: restore it there"):
        exported(store)


def test_the_environment_is_left_as_it_was(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    before = dict(os.environ)
    with mlflow_store.opened(None, store.path.parent):
        assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert dict(os.environ) == before


def test_a_directory_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "50%20 or ? #1"
    folder.mkdir()
    with mlflow_store.opened(None, folder) as tracking:
        assert mlflow_store.database(tracking.uri) == folder / "mlflow.db"
        tracking.client.create_experiment("x")
    assert (folder / "mlflow.db").stat().st_size > 0
