"""Machines as people have them: variables, folders and locales that would turn Spark, Python or Java elsewhere."""

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster import java
from cluster.profile import cache_folder
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.store.store import Store
from tests.measure.observing import Silent

pytestmark = [pytest.mark.spark, pytest.mark.slow]

SUITE = """
rounds = 1
[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "xgboost-spark"]
params = { trees = 2 }
isolate = true
"""
SITE = """<configuration><property><name>fs.defaultFS</name>
<value>hdfs://namenode.example.invalid:8020</value></property></configuration>"""
NOWHERE = "http://127.0.0.1:9"
COMMAND = str(Path(sys.executable).with_name("sparkscale"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The user's own: a table, a suite, and scripts that are called as libraries are."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 2000))
    table = pa.table({"a": a, "b": b, "y": (a - b + generator.logistic(size=2000) > 0).astype(int)})
    mine = tmp_path / "mine"
    mine.mkdir()
    pq.write_table(table, mine / "größe_漢字.parquet")
    (mine / "suite.toml").write_text(SUITE)
    (mine / "cluster.py").write_text("CENTRES = 8\n")
    (mine / "xgboost.py").write_text('raise SystemExit("my experiment")\n')
    return mine


def another_pyspark(folder: Path) -> Path:
    """A folder with the same Spark under another version, as PYTHONPATH=$SPARK_HOME/python has one."""
    found = find_spec("pyspark")
    assert found is not None
    assert found.submodule_search_locations is not None
    (folder / "pyspark").mkdir(parents=True)
    for file in Path(next(iter(found.submodule_search_locations))).iterdir():
        (folder / "pyspark" / file.name).symlink_to(file)
    (folder / "pyspark" / "version.py").unlink()
    (folder / "pyspark" / "version.py").write_text('__version__ = "4.0.0"\n')
    return folder


def sparkscale(*arguments: str, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, **variables}
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, cwd=cwd, env=environment, timeout=300, check=False
    )


def test_spark_and_python_are_ours_whatever_the_shell_says(folder: Path, tmp_path: Path) -> None:
    """Each of these made a run fail, or measure something else: modules of the user's in the folder, a site's file
    system, another pyspark, a proxy, a locale without UTF-8, a cache whose path Spark takes for a pattern.
    """
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "core-site.xml").write_text(SITE)
    variables = {
        "HADOOP_CONF_DIR": str(tmp_path / "conf"),
        "PYTHONPATH": str(another_pyspark(tmp_path / "other")),
        "http_proxy": NOWHERE,
        "https_proxy": NOWHERE,
        "LC_ALL": "C",
        "XDG_CACHE_HOME": str(tmp_path / "store [v1] {x}"),
    }
    table = ("--data", "größe_漢字.parquet", "--label", "y")
    done = sparkscale("run", "--suite", "suite.toml", "--out", "out", *table, cwd=folder, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    with Store.existing(folder / "out") as store:
        records = store.records()
        assert {record.outcome for record in records} == {"ok"}
        assert {record.case.engine for record in records} == {"xgboost", "xgboost-spark"}
        assert "größe" in records[0].case.dataset
    shown = sparkscale("show", "--out", "out", cwd=folder, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert shown.returncode == 0, shown.stderr
    assert "xgboost-spark" in shown.stdout
    assert shown.stdout.isascii()


PATTERNS = """
rounds = 1
[dataset.few]
kind = "devices"
rows = 4000
devices = 10
skew = 0.0
[dataset.small]
kind = "classification"
rows = 8000
features = 5
[[measure]]
workload = "per_group.ridge"
engines = ["joblib-laid-out", "apply-in-pandas-bucketed", "parquet-groups"]
datasets = ["few"]
[[measure]]
workload = "inference.boosting"
engines = ["joblib", "map-in-arrow", "parquet-map", "mllib-transform", "xgboost-spark-transform"]
datasets = ["small"]
params = { model = { trees = 2 } }
"""


@pytest.mark.usefixtures("one_pass")
def test_models_layouts_and_predictions_may_lie_where_the_name_is_a_pattern(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spark takes [ and { in a path for patterns, of what it reads and not of what it writes."""
    (folder / "suite.toml").write_text(PATTERNS)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a [v1] {x,y}*"))
    running.measure(Request(suite=str(folder / "suite.toml"), out=folder / "out"), Silent)
    with Store.existing(folder / "out") as store:
        measured = [record for record in store.records() if not record.is_warmup]
    assert len(measured) == 8
    assert {record.outcome for record in measured} == {"ok"}


def test_a_proxy_is_not_asked_for_a_connect_server_on_this_machine(folder: Path) -> None:
    table = ("--data", "größe_漢字.parquet", "--label", "y", "--filter", "engine=mllib")
    (folder / "suite.toml").write_text(SUITE.replace('"xgboost", "xgboost-spark"', '"mllib"'))
    run = ("run", "--suite", "suite.toml", "--out", "out", "--cluster", "connect", *table)
    done = sparkscale(*run, cwd=folder, http_proxy=NOWHERE, https_proxy=NOWHERE)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root mounts")
@pytest.mark.parametrize(
    ("mount", "variable", "status", "said"),
    [
        (
            "mount --bind {0} {0} && mount -o remount,ro,bind {0}",
            "XDG_CACHE_HOME",
            2,
            "is read-only: name another folder",
        ),
        ("mount -t tmpfs -o size=64k none {0}", "XDG_CACHE_HOME", 2, "are free"),
        ("mount -t tmpfs -o noexec none {0}", "TMPDIR", 0, ""),
        ("mount -t tmpfs -o size=64k none {0}", "", 2, "make room there, or use another --out"),
    ],
    ids=["read-only cache", "full cache", "temporary files where nothing runs", "full output"],
)
def test_a_folder_that_cannot_be_used_is_one_sentence(
    folder: Path, mount: str, variable: str, status: int, said: str
) -> None:
    """Or it does not matter: where nothing runs, Java keeps its native libraries elsewhere."""
    place = folder / "place"
    place.mkdir()
    run = f"{COMMAND} run --suite suite.toml --data größe_漢字.parquet --label y --filter engine=xgboost-spark"
    run += f" --out {place if not variable else 'out'}"
    variables = {variable: str(place)} if variable else {}
    probe = ["unshare", "-m", "bash", "-c", mount.format(place)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file system of its own may be mounted here")
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", f"{mount.format(place)} && {run}"],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **variables},
        timeout=300,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr.splitlines()[-1] if said else True


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root names a host")
def test_a_host_name_that_does_not_resolve_is_no_missing_java() -> None:
    find = (
        f"from cluster import java; from pathlib import Path; print(java.find(Path({str(cache_folder())!r})).version)"
    )
    named = f"echo build-agent-77 > /proc/sys/kernel/hostname; {sys.executable} -c {find!r}"
    done = subprocess.run(
        ["unshare", "--uts", "bash", "-c", named], capture_output=True, text=True, timeout=120, check=False
    )
    if "unshare failed" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("no name space of its own may be made here")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split(".")[0]) >= java.OLDEST


def test_of_a_stack_trace_the_cause_is_told() -> None:
    innermost = "Caused by: java.net.UnknownHostException: c"
    said = f"Exception in thread main java.lang.X: a\n\tat b\n{innermost}\n\t... 17 more\n"
    assert java.cause(said) == innermost
    assert java.cause("Error: no such option\n") == "Error: no such option"
    assert java.cause("") == "no output"
