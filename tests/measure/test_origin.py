"""A run goes on only with what it was begun with."""

import datetime
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import profile
from cluster.budget import budget
from sparkscale.analysis.price import Price, prices
from sparkscale.contract import redaction
from sparkscale.contract.case import Case
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.measure.run import origin
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.measure.worker import descriptions
from sparkscale.store.store import Store
from tests.measure.observing import Silent
from tests.measure.toy_suites import DATA

SUITE = f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy"]
datasets = ["tiny"]
fractions = ["1/2"]
params = {{ memory_mib = 2 }}
"""
PROFILE = 'kind = "local"\ncores = 1\nmemory = "2g"\n'


pytestmark = pytest.mark.usefixtures("toy")


@pytest.fixture
def begun(tmp_path: Path) -> dict[str, Any]:
    """A request to go on with a run of which nothing is measured yet, by a profile and a suite of the user's own."""
    (tmp_path / "mine.toml").write_text(PROFILE)
    (tmp_path / "suite.toml").write_text(SUITE)
    asked: dict[str, Any] = {
        "suite": str(tmp_path / "suite.toml"),
        "out": tmp_path / "out",
        "clusters": (str(tmp_path / "mine.toml"),),
    }
    return {**asked, "resume": True, "invocation": running.begin(Request(**asked)).id}


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("mine.toml", "cores = 1", "cores = 2", r"another profile 'mine': cores was 1 and is 2\. Start a new run\."),
        ("mine.toml", "2g", "1g", r"another profile 'mine': memory was '2g' and is '1g'"),
        ("mine.toml", "[conf]", '[conf]\n"spark.a" = "b"', r"another profile 'mine': conf"),
        (
            "suite.toml",
            '["1/2"]',
            '["1/4"]',
            r"another suite: measure\[0\]\.fractions\[0\] was '1/2' and is '1/4'",
        ),
        (
            "suite.toml",
            "memory_mib = 2",
            "memory_mib = 3",
            r"another suite: measure\[0\]\.params\.memory_mib was 2 and is 3",
        ),
    ],
)
def test_what_was_edited_meanwhile_is_refused_and_named(
    begun: dict[str, Any], tmp_path: Path, file: str, old: str, new: str, message: str
) -> None:
    """A profile edited from one core to two shared one median with what was measured before."""
    text = (tmp_path / file).read_text()
    (tmp_path / file).write_text(text.replace(old, new) if old in text else f"{text}{new}\n")
    with pytest.raises(ConfigError, match=message):
        running.measure(Request(**begun), Silent)


def test_a_budget_that_the_host_grants_no_longer_is_refused(
    begun: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    granted = budget(profile.load(begun["clusters"][0]))
    less = granted.model_copy(update={"node": granted.node.model_copy(update={"memory_bytes": 2**30})})
    monkeypatch.setattr(running, "budget", lambda _: less)
    with pytest.raises(ConfigError, match=r"another budget on 'mine': node\.memory_bytes was 2147483648 and is"):
        running.measure(Request(**begun), Silent)


def test_with_the_same_it_goes_on_and_with_another_deadline(begun: dict[str, Any]) -> None:
    Path(begun["suite"]).write_text(f"deadline_seconds = 400\n{SUITE}")
    finished = running.measure(Request(**begun), Silent)
    assert [record.outcome for record in finished.records] == ["ok", "ok"]


def test_a_price_is_stored_with_the_profile_and_may_change(begun: dict[str, Any], tmp_path: Path) -> None:
    """It changes no measured value, so neither cases nor sessions nor the right to resume depend on it."""
    price = '[price]\nper_hour = 3.2\ncurrency = "EUR"\nsource = "ours?token=abcdef"\ndate = 2026-11-28\n'
    path = tmp_path / "mine.toml"
    path.write_text(f"{PROFILE}{price}")
    priced = running.begin(Request(**{**begun, "resume": False, "invocation": None}))
    path.write_text(f"{PROFILE}{price.replace('3.2', '9.9')}")
    first = running.measure(Request(**{**begun, "invocation": priced.id}), Silent).records
    second = running.measure(Request(**begun), Silent).records
    with Store.existing(begun["out"]) as store:
        stored = prices(store, priced)
        assert prices(store, store.invocation(identity=begun["invocation"])) == {}
    source = f"ours?token={redaction.REDACTED}"
    assert stored == {"mine": Price(3.2, "EUR", source, datetime.date(2026, 11, 28))}
    assert [record.outcome for record in (*first, *second)] == ["ok"] * 4
    assert [record.case.id for record in first] == [record.case.id for record in second]
    assert (
        priced.origin["budget on 'mine'"]
        == running.begin(Request(**{**begun, "resume": False})).origin["budget on 'mine'"]
    )
    with Store.existing(begun["out"]) as store:
        sessions = [store.description(record.session or "").content["cluster"] for record in (*first, *second)]
    assert all(session == sessions[0] for session in sessions)


def test_another_java_is_refused(tmp_path: Path) -> None:
    case = Case.model_construct(**{**dict.fromkeys(Case.model_fields, None), "cluster": "local"})  # type: ignore[arg-type]
    with Store.open(tmp_path / "out") as store:
        software = store.describe("software", {**descriptions.software(None), "java_release": "17.0.15"})
        observed: dict[str, Any] = {"software": software, "case": case}
        before = [RunRecord.model_construct(**observed)]
        on: Any = SimpleNamespace(profile=profile.load("local"), jdk=SimpleNamespace(version="17.0.15"))
        origin.check_same_java(before, store, on)
        on.jdk.version = "17.0.1"
        with pytest.raises(ConfigError, match=r"measured with Java 17\.0\.15, not 17\.0\.1: start a new run"):
            origin.check_same_java(before, store, on)
        on.profile = profile.Connect(name="local", kind="connect", url="sc://elsewhere", cores=2)
        origin.check_same_java(before, store, on)


def test_the_checkout_is_the_one_that_this_code_lies_in() -> None:
    """After a move of the file its changes were those of one folder only."""
    assert (descriptions.ROOT / "pyproject.toml").is_file()
    assert all((descriptions.ROOT / name).exists() for name in descriptions.CODE)


def test_two_states_of_a_changed_tree_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both were `dirty`, so a run went on with other code than it had begun with."""
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "code.py").write_text("a = 1\n")
    (tmp_path / "results").mkdir()
    for command in (
        ("init", "--quiet"),
        ("add", "."),
        ("-c", "user.name=n", "-c", "user.email=e@example.org", "commit", "--quiet", "-m", "m"),
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(descriptions, "ROOT", tmp_path)
    states = [descriptions.code_state()]
    assert (states[0].dirty, states[0].changes) == (False, None)
    (tmp_path / "results" / "records.sqlite").write_text("records")
    assert descriptions.code_state() == states[0]
    for path, text in (("code.py", "a = 2\n"), ("code.py", "ä = 3\n"), ("neü.py", "b = 1\n"), ("neü.py", "b = 2\n")):
        (tmp_path / "workloads" / path).write_text(text, encoding="latin-1")
        states.append(descriptions.code_state())
    assert len(set(states)) == 5
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "records.sqlite").write_text("records of a run with --out mine")
    assert descriptions.code_state() == states[-1]
    assert str(states[1]) != str(states[2])
    assert all(state.dirty for state in states[1:])
