"""Starts a Spark Connect server on this machine, in front of Spark in local mode."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

from cluster import java
from cluster.budget import Grant
from cluster.daemon import Daemon, daemon_environment
from cluster.settings import write_settings

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
LISTENING = r"Spark Connect server started at: \S*?:(\d+)"


def start_server(
    conf: Mapping[str, str], token: str, jdk: java.Java, grant: Grant, folder: Path, logs: Path, outlives: bool
) -> Daemon:
    """Starts the server. Clients must send the token.

    `conf` holds the settings of the Spark session that the server offers, including the master.
    """
    server_folder = folder / f"server-{time.time_ns()}"
    settings = {
        **conf,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.connect.grpc.binding.port": "0",
        "spark.connect.authenticate.token": token,
    }
    spark_class = str(java.spark_home() / "bin" / "spark-class")
    submit = [spark_class, "org.apache.spark.deploy.SparkSubmit", "--class", SERVER, "spark-internal"]
    # Spark ignores spark.executorEnv for the Python workers of a Connect server, which get the server's environment
    environment = {
        **daemon_environment(jdk),
        **write_settings(server_folder / "conf", settings, threads=int(conf["spark.task.cpus"])),
        "SPARK_CONNECT_MODE": "0",
    }
    environment["PYSPARK_PYTHON"] = sys.executable
    return Daemon.start("connect-server", submit, grant, environment, logs / "connect-server.log", outlives)


def address(server: Daemon) -> str:
    """Returns the server's URL. It names localhost: without TLS, clients send their token to no other host."""
    return f"sc://localhost:{server.await_text(LISTENING).group(1)}"
