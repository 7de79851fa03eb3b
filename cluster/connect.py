"""A Spark Connect server on this machine, in front of Spark in local mode."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cluster import java
from cluster.budget import Grant
from cluster.daemon import Daemon, environment_of
from cluster.settings import write_settings

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
LISTENING = r"Spark Connect server started at: \S*?:(\d+)"


def start_server(
    conf: Mapping[str, str], token: str, jdk: java.Java, grant: Grant, folder: Path, logs: Path, outlives: bool
) -> Daemon:
    """`conf` is the session's that it serves, master included; clients must bring the token."""
    own = folder / f"server-{time.time_ns()}"
    settings = {
        **conf,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.connect.authenticate.token": token,
    }
    spark_class = str(java.spark_home() / "bin" / "spark-class")
    submit = [spark_class, "org.apache.spark.deploy.SparkSubmit", "--class", SERVER, "spark-internal"]
    # of a Connect session's executorEnv nothing reaches Python: its workers have the server's environment
    environment = {
        **environment_of(jdk),
        **write_settings(own / "conf", settings, threads=int(conf["spark.task.cpus"])),
        "SPARK_CONNECT_MODE": "0",
    }
    environment["PYSPARK_PYTHON"] = sys.executable
    return Daemon.start("connect-server", submit, grant, environment, logs / "connect-server.log", outlives)


def address(server: Daemon) -> str:
    """Where it listens: by the name localhost, for on any other the client sends no token without TLS."""
    return f"sc://localhost:{server.await_text(LISTENING).group(1)}"
