"""What a session is started with and what is said of it."""

import pytest

from cluster.session import REDACTED, SparkRuntime, redact


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("spark.authenticate.secret", "hunter2", REDACTED),
        ("spark.hadoop.fs.s3a.access.key", "AKIA", REDACTED),
        ("spark.ssl.keyStorePassword", "hunter2", REDACTED),
        ("spark.jars.repositories", "https://me:hunter2@host/maven", f"https://{REDACTED}@host/maven"),
        ("spark.master", "local[2]", "local[2]"),
        ("spark.driver.memory", "3g", "3g"),
    ],
)
def test_no_secret_is_stored(key: str, value: str, shown: str) -> None:
    assert redact(key, value) == shown


@pytest.mark.spark
def test_the_session_is_as_stated_and_stays_on_loopback(spark: SparkRuntime) -> None:
    conf = spark.conf()
    assert conf["spark.driver.host"] == "127.0.0.1"
    assert conf["spark.sql.adaptive.enabled"] == "true"
    assert conf["spark.ui.enabled"] == "false"
    assert conf["spark.executorEnv.OMP_NUM_THREADS"] == conf["spark.task.cpus"] == "1"


@pytest.mark.spark
def test_the_jvm_names_itself_and_its_blas(spark: SparkRuntime) -> None:
    java = spark.java()
    assert java["java_version"]
    assert java["jvm_blas"].endswith("BLAS")
