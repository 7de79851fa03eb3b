"""Runs on real clusters: what their records say, and what happens when a part of the cluster is killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from cluster import lifecycle, processes, profile, state
from cluster.budget import budget
from cluster.lifecycle import Cluster
from cluster.profile import Connect
from sparkscale.contract.errors import ClusterError, ConfigError
from sparkscale.contract.record import RunRecord
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.cluster.using import examined, found_java, written
from tests.measure.observing import Silent, Start, outcomes, records
from tests.measure.toy_suites import BYSTANDERS, DATA, FOREVER, suite_of, worker_in_fit

pytestmark = pytest.mark.spark

PATIENCE = 240.0
SMALL = 'kind = "standalone"\nworkers = 2\nmemory = "2g"\ndriver_memory = "2g"\n'


def toy_case(engine: str, fraction: str, **params: object) -> str:
    """The table of a case in a worker of its own."""
    stated = ", ".join(f"{name} = {value!r}" for name, value in params.items())
    return f"""
[[measure]]
workload = "data_parallel.toy"
engines = ["{engine}"]
datasets = ["tiny"]
fractions = ["{fraction}"]
params = {{ {stated} }}
isolate = true
"""


BESIDE = toy_case("bystander", "1")
ON_CLUSTER = toy_case("toy-executors", "1/2")


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_a_killed_worker_daemon_costs_no_more_than_a_time(start: Start, tmp_path: Path) -> None:
    """Spark does its work again on a worker that takes its place; the next cases run on a whole cluster."""
    (tmp_path / "pair.toml").write_text(SMALL)
    marker = tmp_path / "in-fit"
    computing = toy_case("toy-executors", "1", marker=str(marker), task_seconds=6.0)
    suite = f"rounds = 1\ndeadline_seconds = 180\n{DATA}{computing}{BESIDE}{ON_CLUSTER}"
    process = start(suite, "--cluster", str(tmp_path / "pair.toml"))
    worker_in_fit(process, marker, PATIENCE)
    running_cluster = state.find("pair")
    assert running_cluster is not None
    killed = running_cluster.daemons[1].pid
    os.kill(killed, signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    found = records(tmp_path / "out")
    assert len(found) == 3
    hit = [record for record in found if record.spark and record.spark.executors_lost]
    assert [record.spark.executors_lost for record in hit if record.spark] == [1]
    assert hit[0].case.fraction == 1
    assert process.returncode == (0 if all(record.outcome == "ok" for record in found) else 1), stderr
    assert "worker-1 had ended, and was started again" in stderr
    whole = [record for record in found if record not in hit]
    assert [record.outcome for record in whole] == ["ok"] * 2
    for record in whole:
        if record.spark:
            assert (record.spark.hosts, record.spark.executors_lost) == (1, 0)
            assert record.spark.shuffle_read_bytes > 0
    assert max(record.spark.executors or 0 for record in found if record.spark) >= 2
    if hit[0].outcome == "ok":
        assert "an executor was lost" in stdout
    assert "Single-host: " in stdout
    assert state.find("pair") is None
    assert processes.processes_of(killed) == []
    check_granted(found)


TIGHT = 'kind = "standalone"\nmemory = "1g"\nheap_share = 0.5\ndriver_memory = "2g"\n'


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_a_case_beyond_the_memory_of_an_executor_is_oom_and_costs_no_other(start: Start, tmp_path: Path) -> None:
    """The kernel ends a Python worker, of which Spark knows only that it crashed."""
    limit = processes.MemoryLimit.create(2**30)
    limit.remove()
    if limit.mechanism != "cgroup":
        pytest.skip("no memory cgroup can be made here")
    (tmp_path / "tight.toml").write_text(TIGHT)
    greedy = toy_case("toy-executors", "1", task_memory_mib=2000)
    process = start(f"rounds = 1\n{DATA}{greedy}{ON_CLUSTER}", "--cluster", str(tmp_path / "tight.toml"))
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, stderr
    found = records(tmp_path / "out")
    assert outcomes(found) == {("toy-executors", 1.0): "oom", ("toy-executors", 1 / 2): "ok"}
    (error,) = (record.error for record in found if record.error)
    assert error.message.startswith("Passed the memory limit of 1024 MiB (cgroup). org.apache.spark.")


def check_granted(found: list[RunRecord]) -> None:
    """Both sides had two cores; memory is of processes that were a case's own, executors included."""
    assert {record.resources.cores for record in found} == {2}
    assert {record.case.threads for record in found if record.case.placement == "node"} == {2}
    peaks = {record.case.engine: record.resources.peak_pss_bytes or 0 for record in found}
    assert peaks["bystander"] < 500 * 2**20 < peaks["toy-executors"]
    assert all(record.resources.cpu_seconds for record in found)


@pytest.mark.slow
@pytest.mark.usefixtures("toy")
def test_a_killed_driver_jvm_is_named_and_costs_its_case_only(start: Start, tmp_path: Path) -> None:
    marker = tmp_path / "in-fit"
    process = start(suite_of("toy-executors", marker=str(marker), task_seconds=FOREVER))
    worker = worker_in_fit(process, marker, PATIENCE)
    jvm = next(found for found in processes.processes_of(worker) if found.name() == "java")
    jvm.kill()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    found = records(tmp_path / "out")
    assert outcomes(found) == {
        ("toy-executors", 1.0): "failed",
        ("bystander", 1 / 2): "ok",
        ("bystander", 1.0): "ok",
    }
    failed = next(record for record in found if record.error)
    assert failed.error is not None
    assert failed.error.message.startswith("The JVM of Spark's driver ended.")
    assert failed.spark is None


ON_CONNECT = """
rounds = 2
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["mllib", "xgboost-spark"]
fractions = ["1/64"]
params = { trees = 2 }
isolate = true

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
fractions = ["1/64"]
params = { trees = 2 }
rounds = 1

[[measure]]
workload = "inference.boosting"
engines = ["pandas-udf-iterator", "map-in-arrow", "parquet-map"]
fractions = ["1/64"]
rounds = 1
"""


@pytest.mark.slow
@pytest.mark.usefixtures("one_pass")
def test_a_run_starts_a_fresh_connect_server_for_each_worker(tmp_path: Path) -> None:
    (tmp_path / "served.toml").write_text('kind = "connect"\nmemory = "3g"\ndriver_memory = "1g"\n')
    path = tmp_path / "on-connect.toml"
    path.write_text(ON_CONNECT)
    request = Request(suite=str(path), out=tmp_path / "out", clusters=(str(tmp_path / "served.toml"),))
    found = running.measure(request, Silent).records
    by_engine = {name: [r for r in found if r.case.engine == name] for name in ("mllib", "xgboost-spark", "xgboost")}
    assert [record.outcome for record in by_engine["mllib"]] == ["ok", "ok"]
    assert [record.outcome for record in by_engine["xgboost"] if not record.is_warmup] == ["ok"]
    assert {record.outcome for record in by_engine["xgboost-spark"]} == {"unsupported"}
    reason = "xgboost-spark needs a SparkContext, which a session of kind 'connect' does not have"
    assert {record.error.message for record in by_engine["xgboost-spark"] if record.error} == {reason}
    assert len({record.jvm for record in by_engine["mllib"]}) == 2
    predicted = [record for record in found if record.case.pattern == "inference"]
    slots = budget(profile.load("connect")).cores
    first = {record.case.engine: record for record in reversed(predicted) if record.is_warmup}
    loads = [record.figures.get("model_loads") for record in first.values()]
    assert loads == [slots] * 3, "a warm-up left a slot cold"
    assert [record.outcome for record in predicted if not record.is_warmup] == ["ok"] * 3
    for record in by_engine["mllib"]:
        assert record.case.cluster_kind == "connect"
        assert (record.resources.peak_pss_bytes or 0) > 500 * 2**20
        assert record.spark is not None
        assert record.spark.tasks > 10
        assert (record.resources.cpu_seconds or 0) > 1
    with Store.existing(tmp_path / "out") as store:
        conf = store.description(by_engine["mllib"][0].session or "").content["spark_conf"]
    assert conf["spark.sql.adaptive.enabled"] == "true"
    assert conf["spark.master"] == f"local[{budget(profile.load('connect')).cores}]"
    assert all("token" not in key or value == "*** redacted ***" for key, value in conf.items())
    assert state.find("served") is None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Connect server that is kept, as by `sparkscale cluster up`."""
    folder = tmp_path_factory.mktemp("connect")
    where = Connect(name="kept-server", kind="connect", memory="3g", driver_memory="1g")
    found = lifecycle.bring_up(where, budget(where), found_java(), folder / "work", folder / "logs", kept=True)
    yield found
    found.end()


def theirs(server: Cluster, **changes: object) -> Cluster:
    """The same server as one that is there already."""
    content = {"name": "theirs", "kind": "connect", "url": written(server).address, "cores": 2, "driver_memory": "1g"}
    where = Connect.model_validate({**content, "secrets": {"token": "THEIR_TOKEN"}, **changes})
    return Cluster(where, budget(where), server.jdk)


def test_an_existing_server_is_used_with_its_token_and_not_without(
    server: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THEIR_TOKEN", written(server).secret)
    (executor,) = examined(theirs(server), tmp_path / "right").executors
    assert executor.unreachable is None
    assert set(executor.threads.values()) == {1}
    monkeypatch.setenv("THEIR_TOKEN", "wrong")
    with pytest.raises(
        ClusterError, match=r"'theirs' opens no Spark Connect session at sc://localhost:\d+: .*UNAUTH"
    ):
        examined(theirs(server), tmp_path / "wrong")
    with pytest.raises(ClusterError, match=r"'theirs' cannot be reached at sc://localhost:1 "):
        assert theirs(server, url="sc://localhost:1").endpoint


TWICE = f"rounds = 2\n{DATA}{BYSTANDERS}".replace("bystander", "toy-executors")


@pytest.mark.slow
@pytest.mark.usefixtures("toy", "one_pass")
def test_a_server_that_is_up_is_measured_on_by_its_address(
    server: Cluster, tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """Its JVM serves every round, which is said, and others, so memory and CPU are not a case's own."""
    path = tmp_path / "twice.toml"
    path.write_text(TWICE)
    address = written(server).address
    done = sparkscale("run", "--suite", str(path), "--cluster", address, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "2 rounds ran in 1 JVM, because the server was kept running between rounds" in done.stdout
    found = records(tmp_path / "out")
    assert {record.case.cluster for record in found} == {"kept-server"}
    assert {record.resources.cpu_seconds for record in found} == {None}
    assert all(record.spark and record.spark.tasks for record in found)
    assert written(server).whole
    elsewhere = sparkscale(
        "run", "--suite", str(path), "--cluster", "sc://elsewhere:1", "--out", str(tmp_path / "out")
    )
    assert elsewhere.returncode == 2
    assert elsewhere.stderr.startswith(
        "Error: No cluster of this machine is up at sc://elsewhere:1: describe another cluster by"
    )


NEEDS = """
import sys
import pandas as pd
from pyspark.sql import SparkSession
from workloads.libraries.torch_processes import run_distributed

spark = SparkSession.builder.remote(sys.argv[1]).create()
frame = spark.range(8).selectExpr("id % 2 AS g", "CAST(id AS double) AS x", "id % 2 AS label")

def total(group: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"total": [group["x"].sum()]})

def world():
    import torch.distributed as dist
    dist.init_process_group("gloo")
    found = dist.get_world_size()
    dist.destroy_process_group()
    return found

print("applyInPandas", sorted(row.total for row in frame.groupBy("g").applyInPandas(total, "total double").collect()))
print("TorchDistributor", run_distributed(spark, world, processes=2))

def trial(name, call):
    try:
        call()
        print(name, "works")
    except Exception as error:
        print(name, type(error).__name__)

def xgboost_spark():
    from xgboost.spark import SparkXGBClassifier
    SparkXGBClassifier(features_col=["x"], label_col="label", num_workers=1, n_estimators=1).fit(frame)

def spark_trials():
    from hyperopt import SparkTrials
    SparkTrials(parallelism=1)

trial("xgboost.spark", xgboost_spark)
trial("SparkTrials", spark_trials)
"""


@pytest.mark.slow
def test_what_needs_a_spark_context_does_need_it(server: Cluster, tmp_path: Path) -> None:
    """The capabilities of a session, tried: an engine that became able to do without is to be freed of its need."""
    script = tmp_path / "needs.py"
    script.write_text(NEEDS)
    url = f"{written(server).address}/;token={written(server).secret}"
    done = subprocess.run(
        [sys.executable, str(script), url], capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said["applyInPandas"] == "[12.0, 16.0]"
    assert said["TorchDistributor"] == "2"
    assert said["xgboost.spark"] != "works"
    assert said["SparkTrials"] != "works"


EXTERNAL = """
kind = "external"
master = "{address}"
executors = 2
cores = 1
memory = "1500m"
driver_memory = "2g"
python = "{python}"
[conf]
"spark.authenticate" = "true"
[secrets]
"spark.authenticate.secret" = "THEIR_SECRET"
"""


@pytest.mark.slow
@pytest.mark.usefixtures("toy", "one_pass")
def test_an_external_cluster_is_measured_on_and_left_alone(
    cluster: Cluster, tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    """What cannot be seen from here is null; the baseline has this host."""
    suite, theirs = tmp_path / "one.toml", tmp_path / "theirs.toml"
    suite.write_text(f"rounds = 1\n{DATA}{ON_CLUSTER}{BESIDE}")
    theirs.write_text(EXTERNAL.format(address=written(cluster).address, python=sys.executable))
    done = sparkscale(
        *("run", "--suite", str(suite), "--cluster", str(theirs), "--out", str(tmp_path / "out")),
        env={"THEIR_SECRET": written(cluster).secret},
    )
    assert done.returncode == 0, done.stderr
    with Store.existing(tmp_path / "out") as store:
        found = {record.case.engine: record for record in store.records()}
        session = store.description(found["toy-executors"].session or "").content
    record = found["toy-executors"]
    assert (record.outcome, record.case.cluster, record.case.cluster_kind) == ("ok", "theirs", "external")
    assert record.spark is not None
    assert (record.spark.executors, record.spark.hosts) == (2, 1)
    assert (record.resources.cores, record.resources.cpu_seconds, record.resources.peak_pss_bytes) == (2, None, None)
    assert found["bystander"].resources.cores == len(os.sched_getaffinity(0))
    assert session["spark_conf"]["spark.authenticate.secret"] == "*** redacted ***"
    assert written(cluster).secret not in json.dumps(session)
    assert written(cluster).whole


def test_each_profile_is_visited_once_and_names_are_unique(tmp_path: Path) -> None:
    quick = suite.load("quick")
    once, twice = (planned_cases(quick, clusters=named) for named in (("local",), ("local", "local")))
    assert once == twice
    for number, cores in ((1, 1), (2, 2)):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "mine.toml").write_text(f'kind = "local"\ncores = {cores}\n')
    with pytest.raises(ConfigError, match="Two different clusters are called 'mine'"):
        planned_cases(quick, clusters=tuple(str(tmp_path / str(number) / "mine.toml") for number in (1, 2)))


def test_a_profile_that_asks_for_too_much_stops_the_run_before_it_begins(
    tmp_path: Path, sparkscale: Callable[..., "subprocess.CompletedProcess[str]"]
) -> None:
    (tmp_path / "greedy.toml").write_text('kind = "standalone"\nworkers = 500\n')
    done = sparkscale("run", "--cluster", str(tmp_path / "greedy.toml"), "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: Cluster 'greedy' asks for 500 cores, but only ")
    assert not (tmp_path / "out").exists()


PREDICTING = """
rounds = 1
deadline_seconds = 240
[[measure]]
workload = "inference.mlp"
engines = ["map-in-arrow", "parquet-map"]
fractions = ["1/2"]
params = { model = { hidden = [512, 512], epochs = 1 }, train_fraction = 0.015625, batch_rows = 2000 }
"""


def written_case(process: "subprocess.Popen[str]", out: Path, storage: Path, killed: set[str]) -> str:
    """The id of the next case, no warm-up, of which attempts at parts are being written."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        warmups = set()
        with suppress(ConfigError), Store.existing(out) as store:
            warmups = {record.case.id for record in store.records() if record.is_warmup}
        if len(warmups) > len(killed):
            with suppress(FileNotFoundError):  # folders end while they are listed
                for part in storage.glob("predictions/*/_*/**/*.parquet"):
                    case = part.relative_to(storage).parts[1].partition("-")[0]
                    if case not in warmups | killed:
                        return case
        time.sleep(0.1)
    raise AssertionError(f"no case was writing: {process.communicate()[1][-2000:]}")


def executors_of(name: str) -> list[psutil.Process]:
    """Of a run's cluster."""
    found = state.find(name)
    assert found is not None
    below = [one for daemon in found.daemons[1:] for one in processes.processes_of(daemon.pid)]
    return [one for one in below if any("CoarseGrainedExecutorBackend" in word for word in one.cmdline())]


@pytest.mark.slow
def test_an_executor_killed_while_it_writes_predictions_loses_and_doubles_no_row(
    start: Start, tmp_path: Path
) -> None:
    """Every row of the output is compared with the reference, once each, before a case is ok."""
    out, storage = tmp_path / "out", tmp_path / "storage"
    (tmp_path / "writing.toml").write_text(f'{SMALL}storage = "{storage}"\n')
    process = start(PREDICTING, "--cluster", str(tmp_path / "writing.toml"))
    killed: set[str] = set()
    for _ in range(2):
        killed.add(written_case(process, out, storage, killed))
        executors_of("writing")[0].kill()
    _, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, stderr
    found = records(out)
    assert {record.case.id for record in found} == killed
    assert [record.outcome for record in found] == ["ok"] * 2
    assert [record.spark.executors_lost for record in found if record.spark] == [1, 1]
