"""Settings of each kind of session, and which of them a profile can change."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest

from cluster import jvm
from cluster.budget import budget
from cluster.endpoint import Endpoint
from cluster.profile import PROFILE, load
from cluster.settings import session_settings, write_settings
from sparkscale.contract.threads import THREAD_VARIABLES

LOCAL = {"name": "mine", "kind": "local"}
EXTERNAL = {"name": "theirs", "kind": "external", "master": "yarn", "executors": 2, "cores": 3, "memory": "2g"}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's shell without options of Java's."""
    for name in jvm.JAVA_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def settings(folder: Path, **content: Any) -> dict[str, str]:
    """The settings of a session on the CPU with one thread for each task."""
    profile = PROFILE.validate_python({"driver_memory": "1g", **content} if content["kind"] != "local" else content)
    address = "local" if profile.kind in ("local", "connect") else "spark://127.0.0.1:1"
    return without_place(session_settings(profile, budget(profile), Endpoint(address=address), 1, "cpu", folder))


PLACE = re.compile(r' ?"-Djava\.io\.tmpdir=[^"]*"')


def without_place(found: dict[str, str]) -> dict[str, str]:
    """Settings without the folder of temporary files."""
    return {key: PLACE.sub("", value) for key, value in found.items()}


@pytest.mark.parametrize(
    ("content", "roles"),
    [
        (LOCAL, {"driver"}),
        ({"name": "one", "kind": "standalone", "memory": "1g"}, {"driver", "executor"}),
        ({"name": "server", "kind": "connect", "cores": 1, "memory": "2g"}, {"driver"}),
        (EXTERNAL, {"driver"}),
    ],
)
def test_jvms_of_this_host_keep_their_temporary_files_where_they_are_removed(
    content: dict[str, Any], roles: set[str]
) -> None:
    """Spark's folders and native libraries stayed in /tmp, even after a clean end."""
    profile = PROFILE.validate_python({"driver_memory": "1g", **content} if content["kind"] != "local" else content)
    address = "local" if profile.kind in ("local", "connect") else "spark://127.0.0.1:1"
    found = session_settings(profile, budget(profile), Endpoint(address=address), 1, "cpu", Path("/tmp/a b"))
    option = '"-Djava.io.tmpdir=/tmp/a b/java"'
    given = {role for role in ("driver", "executor") if option in found.get(f"spark.{role}.defaultJavaOptions", "")}
    assert given == roles


@pytest.mark.parametrize(
    ("content", "driver", "executor"),
    [
        ({**LOCAL, "cores": 1}, 1, None),
        ({"name": "one", "kind": "standalone", "memory": "1g"}, 1, 1),
        ({"name": "server", "kind": "connect", "cores": 1, "memory": "2g"}, 1, None),
        (EXTERNAL, None, 3),
    ],
)
def test_every_profiles_jvms_have_the_same_collector_with_a_thread_for_each_core(
    tmp_path: Path, content: dict[str, Any], driver: int | None, executor: int | None
) -> None:
    """A JVM itself chooses Serial on one CPU and G1 on two."""
    found = settings(tmp_path, **content)
    options = found["spark.driver.defaultJavaOptions"]
    assert options.startswith("-XX:+UseParallelGC -XX:ParallelGCThreads=")
    if driver is not None:
        assert options.endswith(f"ParallelGCThreads={driver}")
    expected = f"-XX:+UseParallelGC -XX:ParallelGCThreads={executor}"
    assert found.get("spark.executor.defaultJavaOptions") == (expected if executor else None)


def test_a_collector_that_a_profile_names_wins(tmp_path: Path) -> None:
    """Two collectors on one command line would keep the JVM from starting."""
    found = settings(tmp_path, **LOCAL, cores=1, conf={"spark.driver.extraJavaOptions": "-XX:+UseG1GC -Da=b"})
    assert found["spark.driver.extraJavaOptions"] == "-XX:+UseG1GC -Da=b"
    assert found["spark.driver.defaultJavaOptions"] == "-XX:ParallelGCThreads=1"


def test_other_options_of_a_profile_leave_the_collector_pinned(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        **LOCAL,
        cores=1,
        conf={"spark.driver.extraJavaOptions": "-Da=b", "spark.driver.defaultJavaOptions": "-Xss4m"},
    )
    assert found["spark.driver.extraJavaOptions"] == "-Da=b"
    assert found["spark.driver.defaultJavaOptions"] == "-XX:+UseParallelGC -XX:ParallelGCThreads=1 -Xss4m"


def test_a_collector_that_the_users_shell_names_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers of an existing cluster mostly have it too: with two collectors their executors did not start."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-XX:+UseSerialGC")
    found = settings(tmp_path, **EXTERNAL)
    assert "UseParallelGC" not in found["spark.driver.defaultJavaOptions"]
    assert found["spark.executor.defaultJavaOptions"] == "-XX:ParallelGCThreads=3"


def test_the_drivers_memory_decides_what_it_collects_not_a_default_of_1_gib(tmp_path: Path) -> None:
    for content in (LOCAL, EXTERNAL, {"name": "server", "kind": "connect", "memory": "2g"}):
        assert settings(tmp_path, **content)["spark.driver.maxResultSize"] == "0"
    limited = settings(tmp_path, **LOCAL, conf={"spark.driver.maxResultSize": "1m"})
    assert limited["spark.driver.maxResultSize"] == "1m"


def test_only_the_launched_jvm_is_told_how_many_threads_native_libraries_have(tmp_path: Path) -> None:
    variables = write_settings(tmp_path / "conf", {"spark.a": "b"}, threads=1)
    assert variables == {"SPARK_CONF_DIR": str(tmp_path / "conf")}
    assert (tmp_path / "conf/spark-env.sh").read_text() == "".join(f"{name}=1\n" for name in THREAD_VARIABLES)
    assert stat.S_IMODE((tmp_path / "conf").stat().st_mode) == 0o700
    write_settings(tmp_path / "daemon", {})
    assert not (tmp_path / "daemon/spark-env.sh").exists()


def test_profiles_that_come_along_pin_the_collector(tmp_path: Path) -> None:
    local = load("local")
    found = without_place(session_settings(local, budget(local), Endpoint(address="local"), 1, "cpu", tmp_path))
    cores = len(budget(local).driver.cpus)
    assert found["spark.driver.defaultJavaOptions"] == f"-XX:+UseParallelGC -XX:ParallelGCThreads={cores}"
