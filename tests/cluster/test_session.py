"""What a session is started with and what is said of it."""

import json

import pytest

from cluster.profile import PROFILE
from cluster.session import SparkRuntime, describe
from sparkscale.contract import redaction
from sparkscale.contract.redaction import REDACTED


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
    assert redaction.setting(key, value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("jdbc:x://host/db?user=me&password=hunter2&ssl=1", f"jdbc:x://host/db?user=me&password={REDACTED}&ssl=1"),
        ("-Xmx1g -Dmy.secret=hunter2 -Da=b", f"-Xmx1g -Dmy.secret={REDACTED} -Da=b"),
        ("sc://host:15002/;token=hunter2;use_ssl=true", f"sc://host:15002/;token={REDACTED};use_ssl=true"),
        ("AKIAABCDEFGHIJKLMNOP", REDACTED),
        ("eyJhbGciOi.eyJzdWIi.c2lnbmF0", REDACTED),
        ("spark.sql.adaptive.enabled", "spark.sql.adaptive.enabled"),
    ],
)
def test_no_secret_is_stored_for_its_look_or_inside_a_value(value: str, shown: str) -> None:
    assert redaction.setting("spark.some.option", value) == shown


def test_a_profile_is_described_without_secrets() -> None:
    where = PROFILE.validate_python(
        {
            "name": "theirs",
            "kind": "connect",
            "url": "sc://host/;token=hunter2",
            "cores": 2,
            "conf": {"spark.hadoop.fs.s3a.secret.key": "hunter2"},
            "secrets": {"token": "MY_TOKEN"},
        }
    )
    assert "hunter2" not in json.dumps(describe(where))
    assert describe(where)["secrets"] == [["token", "MY_TOKEN"]]


@pytest.mark.spark
def test_the_session_is_as_stated_and_stays_on_loopback(spark: SparkRuntime) -> None:
    conf = spark.conf()
    assert conf["spark.driver.host"] == "127.0.0.1"
    assert conf["spark.sql.adaptive.enabled"] == "true"
    assert conf["spark.ui.enabled"] == "false"
    assert conf["spark.authenticate"] == "true"
    assert conf["spark.executorEnv.OMP_NUM_THREADS"] == conf["spark.task.cpus"] == "1"


@pytest.mark.spark
def test_the_jvm_names_itself_and_its_blas(spark: SparkRuntime) -> None:
    java = spark.java()
    assert java["java_version"]
    assert str(java["jvm_blas"]).endswith("BLAS")
