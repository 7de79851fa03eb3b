"""The garbage collector of Spark's JVMs: which one is asked for, and which one runs."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway

from cluster import java, jvm
from tests.cluster.using import found_java


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([], "-XX:+UseParallelGC -XX:ParallelGCThreads=3"),
        (["-Da=b", "-XX:+UseGCOverheadLimit"], "-XX:+UseParallelGC -XX:ParallelGCThreads=3"),
        (["-Da=b -XX:+UseZGC"], "-XX:ParallelGCThreads=3"),
        (["-Da=b", "-XX:+UseSerialGC -Xss4m"], "-XX:ParallelGCThreads=3"),
    ],
)
def test_the_collector_is_pinned_unless_the_user_names_one(said: list[str], expected: str) -> None:
    assert jvm.options(3, said) == expected


def test_options_of_the_users_shell_are_found() -> None:
    assert jvm.shell_options({"JAVA_TOOL_OPTIONS": "-XX:+UseG1GC", "PATH": "/bin"}) == ["-XX:+UseG1GC"]


@contextmanager
def started(*options: str) -> Iterator[tuple[int, JavaGateway]]:
    """A JVM that waits, and a way to ask it."""
    home = found_java().home
    jars = next((java.spark_home() / "jars").glob("py4j-*.jar"))
    command = [str(home / "bin" / "java"), *options, "-cp", str(jars), "py4j.GatewayServer"]
    process = subprocess.Popen(
        [*command, "--die-on-broken-pipe", "0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        gateway = JavaGateway(gateway_parameters=GatewayParameters(port=int(process.stdout.readline())))
        yield process.pid, gateway
        gateway.close()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("collector", ["Serial", "Parallel", "G1", "Z", "Shenandoah"])
def test_the_collector_that_runs_is_the_one_that_the_jvm_says(
    collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JAVA_TOOL_OPTIONS", raising=False)
    beans = {"Serial": "Copy", "Parallel": "PS ", "G1": "G1 ", "Z": "ZGC ", "Shenandoah": "Shenandoah "}
    with started(f"-XX:+Use{collector}GC", "-XX:ParallelGCThreads=2") as (pid, gateway):
        names = [
            bean.getName() for bean in gateway.jvm.java.lang.management.ManagementFactory.getGarbageCollectorMXBeans()
        ]
        assert names[0].startswith(beans[collector])
        assert jvm.running_collector(pid) == collector
        assert jvm.collectors([pid]) == []  # none of Spark's
