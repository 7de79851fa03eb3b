"""A clone of this checkout, as it stands, in which commands record a history of their own."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkscale.contract.record import RunRecord
from sparkscale.measure.run.lock import HOLDER
from sparkscale.store.store import Store

ROOT = Path(__file__).parents[2]

TINY = """
rounds = 2
deadline_seconds = 120

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost", "sklearn"]
fractions = ["1/64"]
params = { trees = 10, learning_rate = 0.3 }

[[measure]]
workload = "data_parallel.gradient_boosting"
engines = ["xgboost"]
fractions = ["1/4"]
params = { trees = 10, learning_rate = 0.3 }
rounds = 1

[[measure]]
workload = "data_parallel.logistic_regression"
engines = ["cuml"]
fractions = ["1/64"]
devices = ["gpu"]
"""
"""Five executions without a JVM, one of them the control's fit, and an engine that no machine without a GPU has."""

ANSWERS = """
import json, sys
from tests.calling import called
answers = [called(*request) for request in json.loads(sys.argv[1])]
print(json.dumps([(answer.args, answer.returncode, answer.stdout, answer.stderr) for answer in answers]))
"""

MACHINE = "here"


@dataclass(frozen=True)
class Clone:
    """`home` is the home directory of its user, where asv keeps its machines; `suite` is the path of TINY."""

    root: Path
    home: Path
    suite: Path

    @classmethod
    def make(cls, folder: Path) -> "Clone":
        """Of the files that git knows or would take, committed on a branch `main`."""
        root = folder / "checkout"
        listed = _git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        for name in listed:
            if (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        (folder / "home").mkdir()
        (folder / "tiny.toml").write_text(TINY)
        made = cls(root, folder / "home", folder / "tiny.toml")
        _git(root, "init", "--quiet", "--initial-branch", "main")
        made.commit("as it stands")
        return made

    def commit(self, message: str) -> str:
        """Commits everything; returns the commit's hash."""
        _git(self.root, "add", "--all")
        who = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
        _git(self.root, *who, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.head()

    def head(self) -> str:
        return _git(self.root, "rev-parse", "HEAD").strip()

    def environment(self, **more: str) -> dict[str, str]:
        """Returns the environment of a process that runs this clone's code under the lock of the tests."""
        kept = {name: os.environ[name] for name in os.environ if name == HOLDER or not name.startswith("SPARKSCALE_")}
        return {**kept, "PYTHONPATH": str(self.root), "HOME": str(self.home), **more}

    def run(
        self, *command: str, python: str | Path = sys.executable, **more: str
    ) -> "subprocess.CompletedProcess[str]":
        """`sparkscale …` or `asv …`, or another module."""
        return self._process(python, "-m", *command, **more)

    def answers(self, *requests: Sequence[str]) -> "list[subprocess.CompletedProcess[str]]":
        """The answers of this clone's command line to several requests, in one process."""
        done = self._process(sys.executable, "-c", ANSWERS, json.dumps(requests))
        assert done.returncode == 0, done.stderr
        return [subprocess.CompletedProcess(*answer) for answer in json.loads(done.stdout)]

    def _process(self, *command: str | Path, **more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def interrupted(self, *command: str, after: str) -> str:
        """The same, interrupted when a line of its stderr begins so; returns what stderr says from then on."""
        with subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=self.root,
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            assert process.stderr
            for line in process.stderr:
                if line.startswith(after):
                    break
            process.send_signal(signal.SIGINT)
            said = process.stderr.read()
            assert process.wait(60) == 130, said
        return said

    @property
    def bench_command(self) -> tuple[str, ...]:
        return ("bench", "--suite", str(self.suite), "--machine", MACHINE)

    def bench(self, *options: str) -> "subprocess.CompletedProcess[str]":
        return self.run("sparkscale", *self.bench_command, *options)

    def interrupted_bench(self, *options: str) -> str:
        """Interrupts it when one execution has a record; returns what stderr says from then on."""
        return self.interrupted("sparkscale", *self.bench_command, *options, after="[1/")

    def records(self) -> list[RunRecord]:
        """Those of the suite's last run."""
        with Store.existing(self.root / "results") as store:
            return store.records(store.invocation(str(self.suite)).id)

    @property
    def asv(self) -> Path:
        return self.root / "results" / "asv"

    @property
    def recorded(self) -> Path:
        """asv's folder of this machine and the profile `local`."""
        return self.asv / f"{MACHINE}-local"


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True).stdout
