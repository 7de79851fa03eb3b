"""`sparkscale bench`: what asv has afterwards is what the store has, and no fault costs either."""

import importlib.metadata
import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy
import pytest

from cluster import java, profile
from cluster.budget import budget
from cluster.price import Price
from sparkscale.analysis.every_metric import metrics
from sparkscale.contract.errors import ConfigError
from sparkscale.history.checkout import LOCK, check_installed, check_same_machine, machine
from sparkscale.store.store import FILE, Store
from tests.history.cloning import Clone
from tests.history.conftest import Bench
from workloads import registry

pytestmark = [pytest.mark.spark, pytest.mark.slow]  # the recorded run takes a minute

TIME_TO_MODEL = "data_parallel.DataParallel.track_time_to_model"


@pytest.fixture
def unharmed(clone: Clone, benched: object) -> Iterator[dict[Path, bytes]]:
    """asv's files, which must be the same after the test."""
    assert benched
    before = {path: path.read_bytes() for path in clone.asv.glob("**/*.json")}
    yield before
    assert {path: path.read_bytes() for path in clone.asv.glob("**/*.json")} == before


def results(clone: Clone, name: str = "*") -> dict[str, Any]:
    """asv's file of the last commit, by benchmark: a dictionary of its columns."""
    (path,) = clone.recorded.glob(f"{clone.head()[:8]}-sparkscale-{name}.json")
    content = json.loads(path.read_text())
    columns = content["result_columns"]
    return {key: dict(zip(columns, row, strict=False)) for key, row in content["results"].items()}


@pytest.mark.parametrize(
    ("engine", "fraction", "rounds"), [("xgboost", 1 / 64, 2), ("sklearn", 1 / 64, 2), ("xgboost", 1 / 4, 1)]
)
def test_asv_has_the_samples_of_the_store(
    clone: Clone, benched: Bench, engine: str, fraction: float, rounds: int
) -> None:
    assert benched.done.returncode == 0, benched.done.stdout + benched.done.stderr
    found = results(clone)
    column = found[TIME_TO_MODEL]
    engines, data, fractions, devices, clusters = column["params"]
    assert data == ["'flights (327,346 rows)'"]
    assert (fractions, devices, clusters) == (["'1/64'", "'1/4'"], ["'cpu'", "'gpu'"], ["'local'"])
    same = [r for r in clone.records() if r.case.engine == engine and r.case.fraction == fraction]
    label = f"'gradient_boosting/{engine} learning_rate=0.3 trees=10'"
    index = engines.index(label) * 4 + (2 if fraction == 1 / 4 else 0)
    for name, metric in metrics(registry.descriptions()).items():
        samples = metric.samples(same)
        key = TIME_TO_MODEL.replace("time_to_model", name)
        if samples and metric.direction == "lower":
            assert found[key]["samples"][index] == samples, name
    assert len(column["samples"][index]) == rounds
    assert sum(column["samples"][index]) / rounds == pytest.approx(column["result"][index])


def test_ctrl_c_keeps_what_was_measured_and_it_goes_on(clone: Clone, benched: Bench) -> None:
    assert "Interrupted. The records so far are kept" in benched.interrupted
    assert not benched.had_files
    assert "The run to resume has rounds 2, not 3" in benched.other.stderr
    before, after = (
        [record for record in found if record.outcome == "ok"] for found in (benched.kept, clone.records())
    )
    assert after[: len(before)] == before
    assert 1 <= len([record for record in before if not record.is_warmup]) < 5
    assert sorted(record.round for record in after if not record.is_warmup) == [1, 1, 1, 2, 2]


def test_what_has_no_figure_is_not_available_and_says_why(clone: Clone, benched: Bench) -> None:
    engines = results(clone)[TIME_TO_MODEL]["params"][0]
    index = engines.index("'logistic_regression/cuml'") * 4 + 1
    found = results(clone)[TIME_TO_MODEL]["result"][index]
    assert found != found  # noqa: PLR0124 - asv's n/a
    assert "unsupported: no GPU" in benched.done.stdout
    assert "n/a" in benched.done.stdout


@pytest.mark.usefixtures("benched")
def test_controls_are_timed_by_asv_and_held_against_the_workers(clone: Clone) -> None:
    """A run of a user times the fit eight times and the session's start three times; here it is once."""
    found = results(clone)
    known = json.loads((clone.asv / "benchmarks.json").read_text())
    for name, repeat in (("controls.Fit.time_fit", 8), ("controls.Session.timeraw_session_start", 3)):
        assert len(found[name]["samples"][0]) == 1
        assert known[name]["repeat"] == repeat
    said = clone.run("sparkscale", "bench-controls", "--machine", "here")
    assert said.returncode == 0, said.stderr
    (fit,) = [line for line in said.stdout.splitlines() if "a small fit" in line]
    ratio = re.search(r"(\d+\.\d+) │ (?:ranges|differ)", fit)
    assert ratio
    assert 0.02 < float(ratio[1]) < 50  # the same call by two clocks, and no other unit
    assert "the run measured" in said.stdout  # no engine of the suite has a session


@pytest.mark.usefixtures("benched")
def test_asv_shows_and_compares_what_was_recorded(clone: Clone) -> None:
    shown = clone.run("asv", "show", "HEAD", "--machine", "here-local")
    assert shown.returncode == 0
    assert "gradient_boosting/xgboost learning_rate=0.3 trees=10" in shown.stdout
    compared = clone.run("asv", "compare", "HEAD", "HEAD", "--machine", "here-local")
    assert compared.returncode == 0
    assert re.search(r"1\.00 +\| data_parallel\.DataParallel\.track_auc_loss", compared.stdout)


@dataclass(frozen=True)
class WithChanges:
    """The answers of `sparkscale bench` in a tree with changes, and of a resumption without them.

    The run was interrupted, and asv had a damaged file.
    """

    refused: "subprocess.CompletedProcess[str]"
    interrupted: str
    resumed_without: "subprocess.CompletedProcess[str]"
    done: "subprocess.CompletedProcess[str]"
    damaged: Path
    recorded: dict[str, Any]


@pytest.fixture(scope="module")
def with_changes(clone: Clone, benched: Bench) -> WithChanges:
    assert benched.done.returncode == 0
    request = ("--rounds", "1", "--bench", r"time_to_model\('gradient_boosting/xgboost")
    damaged = clone.recorded / "0123abcd-sparkscale-py3.11.json"
    files = {path: path.read_bytes() for path in clone.asv.glob("**/*.json")}
    results_before = {path: content for path, content in files.items() if "-sparkscale-" in path.name}
    readme = clone.root / "README.md"
    committed = readme.read_bytes()
    try:
        readme.write_text("changed")
        refused = clone.bench()
        interrupted = clone.interrupted_bench("--dirty", *request)
        readme.write_bytes(committed)
        resumed_without = clone.bench("--resume", *request)
        assert {path: path.read_bytes() for path in clone.asv.glob("**/*.json")} == files
        readme.write_text("changed")
        damaged.write_text('{"half')
        done = clone.bench("--dirty", "--resume", *request)
        assert damaged.read_text() == '{"half'
    finally:
        readme.write_bytes(committed)
        damaged.unlink(missing_ok=True)
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = results(clone, "*-treedirty")
    (own_file,) = clone.recorded.glob("*-treedirty.json")
    own_file.unlink()
    assert {path: path.read_bytes() for path in clone.recorded.glob("*-sparkscale-*.json")} == results_before
    return WithChanges(refused, interrupted, resumed_without, done, damaged, recorded)


def test_a_dirty_tree_is_refused_or_recorded_apart(with_changes: WithChanges) -> None:
    """That it changes no other file is checked by the fixture."""
    refused = with_changes.refused
    assert refused.returncode == 2
    assert "changes that are not committed" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    column = with_changes.recorded[TIME_TO_MODEL]
    index = column["params"][0].index("'gradient_boosting/xgboost learning_rate=0.3 trees=10'") * 4
    assert [len(column["samples"][place]) for place in (index, index + 2)] == [1, 1]
    assert "controls.Fit.time_fit" not in with_changes.recorded


def test_what_was_measured_with_changes_is_not_recorded_without(clone: Clone, with_changes: WithChanges) -> None:
    assert "Interrupted. The records so far are kept" in with_changes.interrupted
    resumed = with_changes.resumed_without
    assert resumed.returncode == 2
    assert f"was measured by commit {clone.head()} with the changes " in resumed.stderr
    assert f", not commit {clone.head()}" in resumed.stderr


def test_a_damaged_file_of_another_run_is_named_and_left_alone(with_changes: WithChanges) -> None:
    warning = f"{with_changes.damaged} is damaged: asv leaves it out, and it is left alone"
    assert warning in with_changes.done.stderr


@pytest.mark.usefixtures("unharmed")
def test_a_damaged_file_of_the_run_itself_is_refused(clone: Clone) -> None:
    (mine,) = clone.recorded.glob("*-sparkscale-*.json")
    whole = mine.read_bytes()
    try:
        mine.write_text("[")
        refused = clone.bench()
        assert refused.returncode == 2
        assert f"{mine} is damaged, and this run would be recorded there: move it away." in refused.stderr
        assert mine.read_text() == "["
    finally:
        mine.write_bytes(whole)


@pytest.mark.usefixtures("unharmed")
def test_results_are_no_change_of_the_tree(clone: Clone) -> None:
    subprocess.run(["git", "add", "--force", "results/asv"], cwd=clone.root, check=True)
    try:
        done = clone.bench("--bench", "no such figure")
        assert done.returncode == 2
        assert "--bench no such figure matches no figure of the suite tiny" in done.stderr
    finally:
        subprocess.run(["git", "reset", "--quiet"], cwd=clone.root, check=True)


WRONG_REQUESTS = [
    (["--with", "xgboost"], "--with xgboost names no release: write NAME==VERSION"),
    (["--with", "xgboost==99.9"], "xgboost==99.9 cannot be installed: No matching distribution found"),
    (["--bench", "("], "--bench ( is no regular expression"),
    (["--colour"], "asv run does not take --colour"),
    (["main"], "asv's option range cannot be used here"),
    (["--set-commit-hash", "HEAD"], "asv's option set-commit-hash cannot be used here"),
]


@pytest.mark.usefixtures("unharmed")
def test_a_wrong_request_is_one_sentence(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # else pip waits for an index that has no such release either
    answers = clone.answers(*[(*clone.bench_command, *options) for options, _ in WRONG_REQUESTS])
    for (_, expected), answer in zip(WRONG_REQUESTS, answers, strict=True):
        assert answer.returncode == 2
        last = answer.stderr.strip().splitlines()[-1]
        assert last.startswith("Error: ")
        assert expected in last
    assert not list((clone.root / ".asv").glob("with/*"))


def test_without_git_nothing_is_measured(tmp_path: Path) -> None:
    plain = Clone.make(tmp_path)
    shutil.rmtree(plain.root / ".git")
    done = plain.bench()
    assert done.returncode == 2
    assert "is no git repository" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (plain.root / "results" / "records.sqlite").exists()


@pytest.mark.usefixtures("benched")
@pytest.mark.parametrize(
    ("field", "named"),
    [("cpu", "CPU"), ("java", "Java"), ("profile", "profile (a digest of its settings)")],
)
def test_results_of_another_machine_are_recognized(clone: Clone, field: str, named: str) -> None:
    """Another host, or the same with another profile or Java, would read as a regression."""
    recorded = json.loads((clone.recorded / "machine.json").read_text())
    check_same_machine(clone.asv, recorded)
    with pytest.raises(ConfigError, match=re.escape(f"its {named} is {recorded[field]}, not another. Give")):
        check_same_machine(clone.asv, {**recorded, field: "another"})


@pytest.mark.usefixtures("unharmed")
def test_results_of_another_machine_are_not_added_to(clone: Clone) -> None:
    path = clone.recorded / "machine.json"
    before = path.read_text()
    path.write_text(json.dumps({**json.loads(before), "java": "another"}))
    done = clone.bench()
    path.write_text(before)
    assert done.returncode == 2
    assert "holds results of another machine: its Java is another, not" in done.stderr


def test_the_settings_of_a_profile_belong_to_the_machine() -> None:
    local = profile.load("local")
    granted = budget(local)
    first = machine(None, local, granted)
    assert machine(None, local.model_copy(update={"storage": "/elsewhere"}), granted) == first
    price = Price(per_hour=1.0, currency="EUR", source="ours", date=date(2026, 11, 28))
    assert machine(None, local.model_copy(update={"price": price}), granted) == first
    smaller = machine(None, local.model_copy(update={"conf": (("spark.sql.adaptive.enabled", "false"),)}), granted)
    assert {key for key in first if first[key] != smaller[key]} == {"profile"}
    assert first["java"] == java.find(profile.cache_folder()).version


def test_other_releases_than_the_locks_are_not_recorded(tmp_path: Path) -> None:
    """After `git pull` without `make setup` the new commit would have the old releases' figures."""
    check_installed(Path(__file__).parents[2])  # with the lock as it is: what is tested is what is pinned
    lock = tmp_path / LOCK
    lock.write_text(f"# pinned\nnumpy=={numpy.__version__}\ntorch=={torch_release()}+another\n")
    check_installed(tmp_path)
    lock.write_text("numpy==1.0\nno-such-package==2.0\n")
    with pytest.raises(
        ConfigError, match=rf"\(numpy {numpy.__version__}, not 1\.0; no-such-package none, not 2\.0\): run"
    ):
        check_installed(tmp_path)


def torch_release() -> str:
    return importlib.metadata.version("torch").partition("+")[0]


@pytest.mark.usefixtures("unharmed")
def test_a_run_of_another_host_is_not_gone_on_with(clone: Clone) -> None:
    """Of a store that was copied from there."""
    theirs = clone.root / "results" / "theirs"
    theirs.mkdir()
    shutil.copy2(clone.root / "results" / FILE, theirs / FILE)
    with sqlite3.connect(theirs / FILE) as raw:
        raw.execute("update records set content = json_set(content, '$.host', 'another')")
    with Store.existing(theirs) as store:
        before = store.records()
    done = clone.bench("--resume", "--out", "results/theirs")
    assert done.returncode == 2
    assert done.stderr.endswith("Error: The run to resume was measured on another host: start a new run.\n")
    with Store.existing(theirs) as store:
        assert store.records() == before


@pytest.mark.usefixtures("benched")
def test_plain_asv_measures_one_case_that_has_no_record(clone: Clone) -> None:
    where = {"SPARKSCALE_SUITE": str(clone.suite), "SPARKSCALE_OUT": "results/plain", "SPARKSCALE_ROUNDS": "1"}
    done = clone.run(
        "asv", "run", "--machine", "here-local", "--show-stderr",
        "--bench", r"(auc_loss|time_to_model)\('gradient_boosting/xgboost.*'1/64'.*'cpu'", **where,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "gradient_boosting/xgboost learning_rate=0.3 trees=10" in done.stdout
    with Store.existing(clone.root / "results" / "plain") as store:
        measured = [record for record in store.records() if not record.is_warmup]
    assert [(r.case.engine, r.case.fraction, r.outcome, r.round) for r in measured] == [
        ("xgboost", 1 / 64, "ok", 1)
    ]  # once for both figures, and not in the two rounds of the suite


@pytest.mark.usefixtures("benched")
def test_recorded_again_a_case_has_what_this_run_says_and_no_more(clone: Clone) -> None:
    """From a suite file by its relative path, in which a case of the same name has no figure any more."""
    suite = clone.root / "results" / "again.toml"
    suite.write_text(clone.suite.read_text().replace("deadline_seconds = 120", "deadline_seconds = 0.001"))
    (path,) = clone.recorded.glob(f"{clone.head()[:8]}-sparkscale-py3*.json")
    whole = path.read_bytes()
    only = ("--rounds", "1", "--bench", r"\('gradient_boosting/sklearn.*1/64")
    command = ("sparkscale", "bench", "--suite", "results/again.toml", "--machine", "here", *only)
    try:
        done = clone.run(*command)
        assert done.returncode == 1, done.stderr
        assert "No result within 0.001 s" in done.stdout
        found = results(clone, "py3*")
        engines = found[TIME_TO_MODEL]["params"][0]
        lost = engines.index("'gradient_boosting/sklearn learning_rate=0.3 trees=10'") * 4
        kept = engines.index("'gradient_boosting/xgboost learning_rate=0.3 trees=10'") * 4
        for name in ("time_to_model", "auc_loss", "seconds_fit"):
            column = found[TIME_TO_MODEL.replace("time_to_model", name)]
            assert column["result"][lost] != column["result"][lost], name  # n/a, no figure of the run before
            assert column["samples"][lost] is None
            assert column["result"][kept] > 0
            assert None not in column["result"]  # asv's word for what failed
    finally:
        path.write_bytes(whole)
