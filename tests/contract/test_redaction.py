"""Secrets: known by their names, by their looks, and by their values."""

from pathlib import Path

import pytest

from sparkscale.contract import redaction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.redaction import REDACTED
from workloads.io.filesystem import resolve


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What this process knows, for this test only."""
    found: set[str] = set()
    monkeypatch.setattr(redaction, "_remembered", found)
    return found


@pytest.mark.parametrize(
    "name",
    [
        "fs.azure.account.key.me.blob.core.windows.net",
        "spark.hadoop.fs.azure.sas.container.account",
        "fs.s3a.encryption.key",
        "OPENAI_API_KEY",
        "spark.hadoop.fs.s3a.secret.key",
        "keyStorePassword",
        "AWS_SESSION_TOKEN",
        "spark.ssl.keyStorePassphrase",
        "sig",
        "private-key",
    ],
)
def test_a_name_says_that_its_value_is_secret(name: str) -> None:
    assert redaction.setting(name, "hunter2") == REDACTED
    assert redaction.text(f"tried {name}=hunter2 in vain") == f"tried {name}={REDACTED} in vain"


@pytest.mark.parametrize(
    "name",
    ["spark.master", "spark.sql.keyspace", "monkey", "spark.signal", "design", "spark.executor.cores", "assets"],
)
def test_an_ordinary_name_does_not(name: str) -> None:
    assert redaction.setting(name, "value") == "value"


def test_known_values_are_taken_out_of_texts_lists_and_files(tmp_path: Path) -> None:
    redaction.remember_settings({"my.password": "correct horse", "spark.master": "local[2]"})
    redaction.remember(["short", "another-one"])
    said = "login as me with correct horse failed on local[2], as short and another-one did"
    clean = f"login as me with {REDACTED} failed on local[2], as short and {REDACTED} did"
    assert redaction.text(said) == clean
    assert redaction.values({"a": [said, {"correct horse": 1, "b": said}], "c": 2}) == {
        "a": [clean, {"correct horse": 1, "b": clean}],
        "c": 2,
    }
    log = tmp_path / "log"
    log.write_bytes(said.encode() + b"\xff")
    redaction.scrub(log)
    assert log.read_bytes() == clean.encode() + b"\xff"
    redaction.scrub(tmp_path / "gone")


def test_secrets_of_the_environment_are_known_and_files_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "from-the-shell")
    monkeypatch.setenv("SOME_TOKEN_FILE", str(tmp_path))
    assert redaction.text(f"from-the-shell {tmp_path}") == f"{REDACTED} {tmp_path}"


def test_values_too_short_to_tell_from_words_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six characters are the fewest that are searched for, wherever the value is known from."""
    monkeypatch.setenv("SOME_TOKEN", "a" * (redaction.SHORTEST - 1))
    monkeypatch.setenv("OTHER_TOKEN", "b" * redaction.SHORTEST)
    redaction.remember(["c" * (redaction.SHORTEST - 1), "d" * redaction.SHORTEST])
    assert redaction.SHORTEST == 6
    assert redaction.text("aaaaa bbbbbb ccccc dddddd") == f"aaaaa {REDACTED} ccccc {REDACTED}"


@pytest.mark.parametrize(
    "place",
    [
        "s3://key:hunter2@bucket/table",
        "s3://bucket/table?access_key=AKIA&secret_key=hunter2",
        "abfs://container@account.dfs.core.windows.net/t?sig=hunter2",
    ],
)
def test_credentials_in_a_location_are_refused_without_being_told(place: str) -> None:
    with pytest.raises(ConfigError, match="location holds credentials") as raised:
        resolve(place)
    assert "hunter2" not in str(raised.value)
