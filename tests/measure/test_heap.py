"""A search for the smallest heap: the one case that it needs, and a real one."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from cluster import profile
from cluster.budget import LEAST_HEAP_BYTES, Budget, budget
from cluster.profile import PROFILE
from cluster.settings import heap_bytes
from sparkscale.analysis.heap import Search, is_enough
from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from sparkscale.measure.run import heap
from sparkscale.measure.run.heap import Request
from sparkscale.store.store import Store
from tests.measure.observing import Silent
from tests.measure.toy_suites import DATA

Call = Callable[..., "CompletedProcess[str]"]

MIB = 2**20
QUICK = planned_cases(suite.load("quick"))

LOCAL = PROFILE.validate_python({"name": "l", "kind": "local"})
PAIR = PROFILE.validate_python(
    {"name": "p", "kind": "standalone", "workers": 2, "memory": "1g", "driver_memory": "1g", "oversubscribe": True}
)
SERVER = PROFILE.validate_python({"name": "s", "kind": "connect", "memory": "2g", "driver_memory": "1g"})
THEIRS = PROFILE.validate_python(
    {"name": "t", "kind": "external", "master": "yarn", "executors": 3, "cores": 2, "memory": "8g"}
)


def test_a_case_is_chosen_whatever_else_the_suite_measures_of_it() -> None:
    """`quick` has it isolated, too, and `defaults` with the library's defaults."""
    with_defaults = planned_cases(suite.load("defaults"))
    for cases in (QUICK, with_defaults):
        chosen = heap.choose(cases, "workload=gradient_boosting,engine=mllib,fraction=1")
        assert (chosen.engine.name, chosen.fraction, chosen.parameter_set) == ("mllib", 1.0, "aligned")
    defaults = heap.choose(with_defaults, "workload=gradient_boosting,engine=mllib,fraction=1,set=defaults")
    assert defaults.parameter_set == "defaults"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "engine=mllib",
            "'engine=mllib' selects 8 cases: choose one by workload=data_parallel.gradient_boosting or "
            "data_parallel.logistic_regression, fraction=1/64 or 1/16 or 1/4 or 1.",
        ),
        ("engine=mlib", "engine=mlib matches nothing: this suite has"),
        ("mllib", "'mllib' is not KEY=VALUE"),
    ],
)
def test_a_request_that_is_not_one_case_lists_the_choices(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        heap.choose(QUICK, expression)
    assert message in str(refused.value)


def test_cases_that_differ_in_a_sweep_only_are_refused() -> None:
    first = heap.choose(QUICK, "workload=gradient_boosting,engine=mllib,fraction=1")
    swept = replace(first, params=first.params.changed({"trees": 20}))
    with pytest.raises(ConfigError, match="selects 2 cases that differ in their parameters only"):
        heap.choose([first, swept], "engine=mllib")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["workload=gradient_boosting,engine=xgboost,fraction=1"], "xgboost runs on one node without a JVM"),
        (["engine=mllib"], "selects 8 cases: choose one by workload="),
        (["engine=mllib,workload=gradient_boosting,fraction=1", "--label", "y"], "--label needs --data."),
        (["engine=mllib,workload=gradient_boosting,fraction=1", "--suite", "quik"], "Unknown suite 'quik'"),
        (
            ["engine=mllib,workload=gradient_boosting,fraction=1", "--cluster", "{folder}/fixed.toml"],
            "Cluster 'fixed' sets spark.driver.memory in its [conf]: remove it",
        ),
        (
            ["engine=mllib,workload=gradient_boosting,fraction=1", "--cluster", "{folder}/theirs.toml"],
            "The server of cluster 'theirs' is not started by sparkscale: set its heap where it is started.",
        ),
    ],
)
def test_a_wrong_search_is_one_sentence_and_writes_nothing(
    sparkscale: Call, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "fixed.toml").write_text('kind = "local"\n[conf]\n"spark.driver.memory" = "2g"\n')
    (tmp_path / "theirs.toml").write_text('kind = "connect"\nurl = "sc://host:15002"\ncores = 2\n')
    out = tmp_path / "out"
    done = sparkscale("heap", *(text.format(folder=tmp_path) for text in arguments), "--out", str(out))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert not out.exists()


@pytest.mark.parametrize("where", [LOCAL, PAIR, SERVER, THEIRS], ids=lambda where: where.kind)
def test_another_heap_changes_no_limit(where: profile.ClusterProfile) -> None:
    granted = budget(where)
    changed = granted.with_heap(500 * MIB)
    assert granted.heap_bytes != changed.heap_bytes == 500 * MIB

    def limits(of: Budget) -> list[int]:
        return [of.node.memory_bytes, of.driver.memory_bytes, *(one.memory_bytes for one in of.daemons)]

    assert limits(changed) == limits(granted)
    assert changed.executor_memory_bytes == granted.executor_memory_bytes


@pytest.mark.parametrize(
    ("where", "conf", "found"),
    [
        (LOCAL, {"spark.driver.memory": "700m", "spark.executor.memory": "1g"}, 700 * MIB),
        (PAIR, {"spark.driver.memory": "700m", "spark.executor.memory": "1g"}, 1024 * MIB),
        (SERVER, {"spark.driver.memory": "2GB"}, 2048 * MIB),
        (LOCAL, {"spark.driver.memory": "512"}, 512 * MIB),
        (LOCAL, {"spark.driver.memory": "1048576b"}, MIB),
        (LOCAL, {"spark.driver.memory": "much"}, None),
        (SERVER, {}, None),
        (LOCAL, None, None),
    ],
)
def test_the_heap_of_a_session_is_read_from_its_configuration(
    where: profile.ClusterProfile, conf: dict[str, str] | None, found: int | None
) -> None:
    assert heap_bytes(where, conf) == found


SMALL = f"""
deadline_seconds = 120
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy-spark"]
datasets = ["tiny"]
fractions = ["1/4", "1"]
params = {{ seconds = 1.0 }}
"""


@pytest.mark.spark
@pytest.mark.slow
@pytest.mark.usefixtures("toy", "one_pass")
def test_a_search_brackets_the_heap_and_keeps_every_probe(tmp_path: Path) -> None:
    """JVMs of tests have the serial collector, which lets Spark use less than the heap: the smallest do not start."""
    (tmp_path / "small.toml").write_text(SMALL)
    (tmp_path / "tight.toml").write_text('kind = "local"\nmemory = "2g"\nheap_share = 0.26\n')
    request = Request(
        "engine=toy-spark,fraction=1", str(tmp_path / "small.toml"), tmp_path / "out", str(tmp_path / "tight.toml")
    )
    identity = heap.search(request, Silent, is_enough)
    with Store.existing(tmp_path / "out") as store:
        assert store.invocation(command="heap").id == identity
        records = store.records()
        sessions = {record.session: store.description(record.session).content for record in records if record.session}
    own = int(2 * 2**30 * 0.26) // MIB * MIB
    found = Search.of(records)
    assert found is not None
    assert [record.outcome for record in found.own.records] == ["ok"] * 4
    assert found.own.heap_bytes == own
    assert all(LEAST_HEAP_BYTES <= probe.heap_bytes < own for probe in found.probes[1:])
    assert {record.case.fraction for probe in found.probes for record in probe.records} == {1.0}
    assert found.needed is not None
    below = found.below[0].heap_bytes if found.below else LEAST_HEAP_BYTES - MIB
    assert found.needed.heap_bytes / below <= 1.1
    for record in records:
        if record.session:
            conf = sessions[record.session]["spark_conf"]
            assert heap_bytes(LOCAL, conf) == record.resources.heap_bytes
            assert sessions[record.session]["memory_bytes"] == 2 * 2**30
