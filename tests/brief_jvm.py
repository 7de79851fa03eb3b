"""Makes the JVMs of tests start faster, because a run of all tests starts hundreds of them.

Java reads Spark's classes from one archive (class-data sharing, JEP 350) instead of from 270 jars. Java uses such an
archive only if the class path begins with the same jars, but Spark puts the settings folder of each session first. So
a script named `java` puts this folder last. No jar contains a file with the name of a settings file, so Spark finds
the same settings.

Only tests do this. A measured JVM starts as Spark's own scripts start it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ARCHIVE = "spark.jsa"

OPTIONS = (
    "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData "
    "-XX:+UnlockDiagnosticVMOptions -XX:-BytecodeVerificationRemote"
)
"""Java's options for JVMs that live briefly: they compile cheaply, and do not verify Spark's own classes."""

LAUNCHER = r"""#!/usr/bin/env bash
# Written by tests/brief_jvm.py: puts Spark's jars first in the class path, and reads their classes from an archive.
options=()
while [ $# -gt 0 ]; do
    if [ "$1" = -cp ]; then
        jars= others=
        IFS=: read -ra entries <<< "$2"
        for entry in "${{entries[@]}}"; do
            case "$entry" in
                */pyspark/jars/\*) jars="$jars:$entry" ;;
                *) others="$others:$entry" ;;
            esac
        done
        path="$jars$others"
        options+=(-cp "${{path#:}}")
        shift 2
    else
        options+=("$1")
        shift
    fi
done
[ -f "{archive}" ] && options=("-XX:SharedArchiveFile={archive}" "${{options[@]}}")
exec "{java}" -Xlog:disable "${{options[@]}}"
"""

WORK = """
import pandas
from pyspark.ml.classification import GBTClassifier, LogisticRegression
from pyspark.ml.feature import VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import SparkSession

spark = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
folder = __import__("sys").argv[1]
spark.range(400).selectExpr("id % 2 as label", "cast(id as double) as x", "id % 7 as g").write.parquet(folder)
rows = VectorAssembler(inputCols=["x"], outputCol="features").transform(spark.read.parquet(folder)).cache()
for estimator in (GBTClassifier(maxIter=1, maxDepth=2), LogisticRegression(maxIter=2)):
    model = estimator.fit(rows)
    model.transform(rows).select(vector_to_array("probability")[1].alias("p")).toArrow()
rows.select("g", "x").groupBy("g").applyInPandas(lambda group: group.head(1), "g long, x double").toPandas()
rows.select("x").mapInArrow(lambda batches: batches, "x double").count()
spark.createDataFrame(pandas.DataFrame({"a": [1, 2]})).repartition(2).collect()
jvm = spark.sparkContext._gateway.proc
spark.stop()
jvm.stdin.close()
jvm.wait()
"""
"""A Spark program that loads the classes which most tests need."""


class Java:
    """A JAVA_HOME below `cache` whose `java` reads Spark's classes from an archive, as soon as there is one.

    `home` is None if the system has no Java of its own.
    """

    def __init__(self, cache: Path) -> None:
        given = os.environ.get("JAVA_HOME")
        java = shutil.which("java", path=str(Path(given, "bin")) if given else None)
        self.home = None if java is None else self._launcher(Path(java).resolve(), cache)

    def _launcher(self, java: Path, cache: Path) -> Path:
        """Writes the launcher, unless a run of the tests with the same Java and Spark has written it before."""
        import pyspark

        jars = sorted((file.name, file.stat().st_mtime_ns) for file in Path(pyspark.__path__[0], "jars").iterdir())
        described = repr((java, java.stat().st_mtime_ns, pyspark.__path__[0], jars, OPTIONS, LAUNCHER, WORK))
        home = cache / hashlib.sha256(described.encode()).hexdigest()[:16]
        launcher = home / "bin" / "java"
        if not launcher.is_file():
            launcher.parent.mkdir(parents=True, exist_ok=True)
            aside = launcher.with_name(f"java.{os.getpid()}")
            aside.write_text(LAUNCHER.format(java=java, archive=home / ARCHIVE))
            aside.chmod(0o755)
            aside.replace(launcher)
        return home

    @contextmanager
    def making(self) -> Iterator[None]:
        """Makes the archive in the background if there is none. This takes half a minute of one core."""
        if self.home is None or (self.home / ARCHIVE).exists():
            yield
            return
        with tempfile.TemporaryDirectory(dir=self.home) as folder:
            classes = Path(folder, ARCHIVE)
            program = f"{WORK}\n__import__('os').replace({str(classes)!r}, {str(self.home / ARCHIVE)!r})\n"
            variables = {
                **os.environ,
                "JAVA_HOME": str(self.home),
                "JAVA_TOOL_OPTIONS": OPTIONS,
                "PYSPARK_PYTHON": sys.executable,
                "PYSPARK_SUBMIT_ARGS": f"--driver-java-options -XX:ArchiveClassesAtExit={classes} pyspark-shell",
                "SPARK_LOCAL_IP": "127.0.0.1",
            }
            with Path(folder, "log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-c", program, folder + "/rows"],
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            try:
                yield
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
