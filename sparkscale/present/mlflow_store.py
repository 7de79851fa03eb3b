"""Writes runs to an MLflow tracking store: a database file, or a server.

Exporting a run again adds only what is new. If an export was interrupted, repeating it completes it.
"""

import importlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from sparkscale.contract.case import digest
from sparkscale.contract.errors import ConfigError
from sparkscale.present.mlflow_runs import ANONYMOUS, CASE, EXPORTED, OWN_TAG, RUN, Described

FILE, ARTIFACTS = "mlflow.db", "-artifacts"
"""The database in the directory of the records, and the end of the name of the directory with its artifacts."""
REPORT = "report.html"
SETTINGS = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
"""MLflow must send nothing to any other host than the tracking server."""
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Settings that the user's environment may change. MLflow's own would wait minutes for a server without an answer."""
PAGE = 1000
PARENT = "mlflow.parentRunId"
SQLITE_BEGIN = b"SQLite format 3\0"


@dataclass
class Exported:
    """The number of cases that an export added, completed or left as they were."""

    new: int = 0
    updated: int = 0
    unchanged: int = 0


@dataclass
class Tracking:
    """An MLflow tracking store that is ready to be written. `client` is mlflow.MlflowClient."""

    uri: str
    client: Any
    _experiments: dict[str, str] = field(default_factory=dict)

    def write(
        self, run: str, experiment: str, is_anonymous: bool, runs: Sequence[Described], report: Callable[[], str]
    ) -> Exported:
        """Writes a run of sparkscale: its parent, with the report as an artifact, and below it all cases.

        `runs` begins with the parent. `report` is only called if something is new. Raises ConfigError if the store
        or the experiment cannot be written.
        """
        with _one_sentence(self.uri):
            return self._write(run, self._experiment(experiment), is_anonymous, runs, report)

    def _write(
        self, run: str, experiment: str, is_anonymous: bool, runs: Sequence[Described], report: Callable[[], str]
    ) -> Exported:
        parent, *cases = runs
        exported = Exported()
        identity = {RUN: run, ANONYMOUS: str(is_anonymous).lower()}
        known = self._known(experiment, identity)
        above = known.get(parent.identity) or self._create(experiment, parent, identity)
        for case in cases:
            marker = digest([case.digest, above.info.run_id])
            earlier = known.get(case.identity)
            if earlier is not None and earlier.data.tags.get(EXPORTED) == marker:
                exported.unchanged += 1
                continue
            exported.updated += earlier is not None
            exported.new += earlier is None
            child = earlier or self._create(experiment, case, identity)
            self._complete(child, case, {PARENT: above.info.run_id}, case.files, marker)
        marker = digest([one.digest for one in runs])
        if above.data.tags.get(EXPORTED) != marker:
            self._complete(above, parent, {}, {REPORT: report()}, marker)
        return exported

    def _experiment(self, name: str) -> str:
        """Returns the id of the experiment with this name, and makes it if it is missing.

        The artifacts of a database file lie beside it, because MLflow would put them into the current directory.
        """
        if name in self._experiments:
            return self._experiments[name]
        known = self.client.get_experiment_by_name(name)
        if known is not None and known.lifecycle_stage != "active":
            raise ConfigError(
                f"The experiment {name} was deleted in MLflow: restore it there, or name another with --experiment."
            )
        file = database(self.uri)
        place = file.with_name(file.stem + ARTIFACTS).absolute().as_uri() if file else None
        if known is None:
            self._experiments[name] = self.client.create_experiment(name, artifact_location=place)
        else:
            self._experiments[name] = known.experiment_id
        return self._experiments[name]

    def _known(self, experiment: str, identity: dict[str, str]) -> dict[str, Any]:
        """Returns what earlier exports wrote of a run (mlflow.entities.Run), by case."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in identity.items())
        known: dict[str, Any] = {}
        token = None
        while True:
            page = self.client.search_runs([experiment], wanted, max_results=PAGE, page_token=token)
            for one in page:
                known.setdefault(one.data.tags.get(CASE, ""), one)
            token = page.token
            if not token:
                return known

    def _create(self, experiment: str, one: Described, identity: dict[str, str]) -> Any:
        tags = {**identity, CASE: one.identity}
        return self.client.create_run(experiment, start_time=one.started, tags=tags, run_name=one.name)

    def _complete(
        self, earlier: Any, one: Described, links: dict[str, str], files: dict[str, str], marker: str
    ) -> None:
        """Adds what a run of MLflow lacks, and deletes tags of an earlier export that no longer hold.

        The marker comes last: without it, the next export completes the run.
        """
        from mlflow.entities import Metric, Param, RunTag

        run = earlier.info.run_id
        params = [Param(name, text) for name, text in one.params.items() if name not in earlier.data.params]
        tags = [RunTag(name, text) for name, text in (one.tags | links).items()]
        # a database keeps equal points once, but another server may not
        known = {
            (name, point.step, point.timestamp)
            for name in earlier.data.metrics
            for point in self.client.get_metric_history(run, name)
        }
        metrics = [
            Metric(point.metric, point.value, point.milliseconds, point.round)
            for point in one.points
            if (point.metric, point.round, point.milliseconds) not in known
        ]
        self.client.log_batch(run, metrics, params, tags)  # in as many requests as MLflow's limits need
        for name in earlier.data.tags:
            if OWN_TAG.fullmatch(name) and name not in one.tags:
                self.client.delete_tag(run, name)
        with tempfile.TemporaryDirectory(prefix="sparkscale-mlflow-") as folder:
            for name, text in files.items():
                (Path(folder) / name).write_text(text, "utf-8")
                self.client.log_artifact(run, str(Path(folder) / name))
        self.client.set_terminated(run, "FINISHED" if one.has_result else "FAILED", one.ended)
        self.client.set_tag(run, EXPORTED, marker)


@contextmanager
def opened(uri: str | None, folder: Path) -> Iterator[Tracking]:
    """Opens a tracking store.

    Without `uri`, it is the one that MLFLOW_TRACKING_URI names, or else a database file in `folder`. Raises
    ConfigError if MLflow is missing, or if the store cannot be written.
    """
    chosen = uri or os.environ.get("MLFLOW_TRACKING_URI") or _uri(folder / FILE)
    with _settings():
        _check_installed()
        _check(chosen)
        with _one_sentence(chosen):
            from mlflow import MlflowClient

            client = MlflowClient(tracking_uri=chosen, registry_uri=chosen)
        yield Tracking(chosen, client)


def database(uri: str) -> Path | None:
    """Returns the file of a store that is a SQLite database. None for other stores.

    Raises ConfigError if the URI names no file.
    """
    if not uri.startswith("sqlite:"):
        return None
    try:
        file = sa.engine.make_url(uri).database
    except sa.exc.ArgumentError:
        file = None
    if not file or file == ":memory:":
        raise ConfigError(f"{uri} names no file: write --tracking-uri sqlite:///FILE.db.")
    return Path(file)


def _uri(file: Path) -> str:
    """Returns the URI of a SQLite database. In a URI, "%" begins an escaped character, and "?" the options."""
    return f"sqlite:///{str(file.absolute()).replace('%', '%25').replace('?', '%3F')}"


@contextmanager
def _settings() -> Iterator[None]:
    """Within this context, MLflow has the settings of this module, and nothing reports each retry of a request."""
    kept = {name: os.environ.get(name) for name in SETTINGS | DEFAULTS}
    os.environ.update({name: value for name, value in DEFAULTS.items() if not kept[name]} | SETTINGS)
    retries = logging.getLogger("urllib3.connectionpool")
    level = retries.level
    retries.setLevel(logging.ERROR)
    try:
        yield
    finally:
        retries.setLevel(level)
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _check_installed() -> None:
    for name in ("mlflow", "alembic"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigError(
                f"--to mlflow needs the package {error.name or name}: pip install 'sparkscale[mlflow]'."
            ) from error


def _check(uri: str) -> None:
    """Raises ConfigError for a store that MLflow would refuse, or would try to open for minutes."""
    file = database(uri)
    if file is None:
        if "://" not in uri or uri.startswith("file:"):
            raise ConfigError(
                f"{uri} is no address of a server and no database, and MLflow no longer writes directories: write "
                "--tracking-uri http://HOST:PORT or sqlite:///FILE.db."
            )
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a+b") as content:
            content.seek(0)
            begin = content.read(len(SQLITE_BEGIN))
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written ({error.strerror}): choose another store with --tracking-uri."
        ) from error
    if begin not in (b"", SQLITE_BEGIN):
        raise ConfigError(f"{file} is no SQLite database: choose another store with --tracking-uri.")


@contextmanager
def _one_sentence(uri: str) -> Iterator[None]:
    """Turns each error of MLflow, of its database and of its artifacts into one sentence, a ConfigError."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        if _has_no_answer(error):
            raise ConfigError(
                f"The MLflow server {uri} does not answer: start it, or choose another store with --tracking-uri."
            ) from error
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise ConfigError(f"MLflow cannot write to {uri}: {reason or type(error).__name__}.") from error


def _has_no_answer(error: BaseException | None) -> bool:
    """Returns true if the error, or an error behind it, is a connection that failed or a server that was silent."""
    requests = importlib.import_module("requests")
    while error is not None:
        if isinstance(error, requests.ConnectionError | requests.Timeout):
            return True
        error = error.__cause__ or error.__context__
    return False
