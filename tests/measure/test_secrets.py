"""No secret gets out: into the store, logs, exports, or a command line that every user of the machine can read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sparkscale.contract.case import Case
from sparkscale.measure.run import run as running
from sparkscale.measure.run.run import Request
from sparkscale.present.export import export
from sparkscale.store import record_file
from sparkscale.store.store import Store
from tests.analysis.reading import shown
from tests.measure.observing import Silent
from tests.measure.toy_suites import DATA

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.usefixtures("toy")]

SECRETS = {
    "spark.hadoop.fs.azure.account.key.me.blob.core.windows.net": "account-key-0123456789",
    "spark.hadoop.fs.azure.sas.box.me": "sas-0123456789",
    "spark.hadoop.fs.s3a.encryption.key": "encryption-key-0123456789",
}
IN_THE_SHELL = "from-the-shell-0123456789"
SUITE = f"""
rounds = 1
{DATA}
[[measure]]
workload = "data_parallel.toy"
engines = ["toy", "toy-spark"]
datasets = ["tiny"]
isolate = true
"""


class Listing(Silent):
    """Looks at every command line, and has a library say what it tried to log in with."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def phase(self, name: str) -> None:  # noqa: ARG002
        self.look()

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self.look()

    def look(self) -> None:
        for process in psutil.process_iter(["cmdline"]):
            self.lines.append(" ".join(process.info["cmdline"] or ()))


def test_secrets_of_a_profile_and_of_the_shell_are_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", IN_THE_SHELL)
    conf = "".join(f"{json.dumps(key)} = {json.dumps(value)}\n" for key, value in SECRETS.items())
    # Hadoop says with what it tried to find the toy's files: into the log, and into the record's error
    conf += f'"spark.hadoop.fs.defaultFS" = "{next(iter(SECRETS.values()))}://nowhere"\n'
    (tmp_path / "mine.toml").write_text(f'kind = "local"\nsummary = "{IN_THE_SHELL}"\n[conf]\n{conf}')
    (tmp_path / "suite.toml").write_text(SUITE)
    observer = Listing()
    asked = Request(suite=str(tmp_path / "suite.toml"), out=tmp_path / "out", clusters=(str(tmp_path / "mine.toml"),))
    running.measure(asked, lambda: observer)
    assert observer.lines
    with Store.existing(tmp_path / "out") as store:
        records = store.records()
        (told,) = [record.error.message for record in records if record.error]
        assert 'No FileSystem for scheme "*** redacted ***"' in told
        text = shown(store)
        record_file.pack(store, records, tmp_path / "records.parquet")
        printed = [text, str(export(records, "json", None))]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()] + [tmp_path / "records.parquet"]
    assert any("spark" in path.name for path in files), "the workers' logs"
    for secret in (*SECRETS.values(), IN_THE_SHELL):
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert [text for text in (*printed, *observer.lines) if secret in text] == []


def test_what_a_command_writes_is_for_its_user_only(tmp_path: Path) -> None:
    """The copy of a table was readable for everyone, though the table was not."""
    (tmp_path / "suite.toml").write_text(SUITE)
    arguments = ["run", "--suite", str(tmp_path / "suite.toml"), "--out", str(tmp_path / "out")]
    variables = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    to = ["--format", "parquet", "--to", str(tmp_path / "shared.parquet")]
    export = ["export", "--out", str(tmp_path / "out"), *to]
    for given in (arguments, export):
        done = subprocess.run(
            [sys.executable, "-m", "sparkscale", *given],
            env=variables,
            cwd=tmp_path,
            umask=0o022,
            check=False,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
    made = [path for top in ("out", "cache") for path in (tmp_path / top, *(tmp_path / top).rglob("*"))]
    assert len(made) > 50
    assert [path for path in made if path.stat().st_mode & 0o077] == []
    assert (tmp_path / "shared.parquet").stat().st_mode & 0o777 == 0o644
