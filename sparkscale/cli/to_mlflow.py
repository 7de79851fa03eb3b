"""`sparkscale export --to mlflow`: writes runs to an MLflow tracking store."""

import shlex
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sparkscale.contract import private, redaction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count

if TYPE_CHECKING:
    from sparkscale.store.discreet import DiscreetStore
    from sparkscale.store.invocation import Invocation


def export(
    out: Path,
    suite: str | None,
    run: str | None,
    every: bool,
    tracking_uri: str | None,
    experiment: str | None,
    is_anonymous: bool,
) -> None:
    """Writes the last run, the named run or all runs to MLflow, and prints how many cases are new and where they lie.

    Raises ConfigError if the run, the package or the tracking store is missing, or for a search for the smallest
    heap: its executions differ in their heaps, so they are no rounds of one case.
    """
    from sparkscale.present import mlflow_store
    from sparkscale.present.mlflow_runs import described
    from sparkscale.store.discreet import DiscreetStore
    from sparkscale.store.store import Store

    # a store that the user names gets the user's permissions; the other one is as private as the records
    permissions = private.with_users_umask() if tracking_uri else nullcontext()
    with Store.existing(out) as store, permissions:
        view = DiscreetStore(store, is_anonymous)
        runs = [view.invocation(identity=one) for one in store.runs()] if every else [view.invocation(suite, run)]
        searches = [one for one in runs if one.command == "heap"]
        if searches and not every:
            raise ConfigError(
                f"Run {searches[0].id} is a search for the smallest heap, which has no rounds for MLflow."
            )
        if searches:
            typer.echo(f"Left out: {count(len(searches), 'search run')} for the smallest heap.", err=True)
        with mlflow_store.opened(tracking_uri, out) as tracking:
            for one in runs:
                if one.command == "heap":
                    continue
                name = experiment or f"sparkscale/{one.suite}"
                html = partial(_report, view, one)
                done = tracking.write(one.id, name, is_anonymous, described(view, one), html)
                numbers = f"{count(done.new, 'new case')}, {done.updated} updated, {done.unchanged} unchanged"
                typer.echo(f"MLflow: run {one.id} in experiment {name}: {numbers}.")
    uri = redaction.text(tracking.uri)
    typer.echo(f"Store: {uri}")
    if mlflow_store.database(tracking.uri):
        typer.echo(f"Look at it with `mlflow ui --backend-store-uri {shlex.quote(uri)}` (needs the package mlflow).")


def _report(view: "DiscreetStore", invocation: "Invocation") -> str:
    """Returns the report of a run as a page."""
    from sparkscale.analysis.report import report
    from sparkscale.present import page

    return page.written(report(view, invocation, has_charts=True))
