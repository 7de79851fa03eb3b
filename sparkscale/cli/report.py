"""`sparkscale report`: writes the report of one or more runs as one file that a team can read."""

from pathlib import Path
from typing import Annotated

import typer

from sparkscale.cli.options import OUT, Out
from sparkscale.contract.errors import ConfigError

app = typer.Typer()

NAME = "report.html"
"""The name of the report below the directory of the records."""


@app.command("report")
def report_(
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", help="Take the run with this id. Repeat the option for several runs in one report."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Take the last run of this suite (default: of any suite).")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help=f"File to write (default: {NAME} in the directory of --out).")
    ] = None,
    out: Out = OUT,
) -> None:
    """Write the report of a run as one HTML file: answers, figures and tables. It needs no network.

    Examples:

      sparkscale report

      sparkscale report --suite standard --to standard.html

      sparkscale report --run 20260102-030405-ab12 --run 20260103-030405-cd34
    """
    from sparkscale.analysis.report import report
    from sparkscale.contract import private
    from sparkscale.present import page
    from sparkscale.store.store import Store

    if suite and runs:
        raise ConfigError("--suite and --run exclude each other: the id of a run is enough.")
    with Store.existing(out) as store, private.with_users_umask():
        invocations = [store.invocation(identity=run) for run in runs] if runs else [store.invocation(suite)]
        file = page.write([report(store, one, has_charts=True) for one in invocations], to or out / NAME)
    typer.echo(f"Report: {file}")
