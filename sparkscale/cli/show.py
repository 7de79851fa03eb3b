"""`sparkscale show` and `sparkscale export`: read what was measured."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sparkscale.cli.options import OUT, Out
from sparkscale.contract import private
from sparkscale.output import console

app = typer.Typer()


ReportFormat = Literal["text", "markdown", "json"]
ExportFormat = Literal["json", "csv", "parquet"]


@app.command("show")
def show_(
    suite: Annotated[str | None, typer.Option(help="The last run of this suite (default: of any).")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="A run by its id.")] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="markdown for documents, json for programs.")
    ] = "text",
    out: Out = OUT,
) -> None:
    """Print what the last run measured: cost, quality, and whether a sample is enough.

    Examples:

      sparkscale show

      sparkscale show --suite standard --out results/nightly

      sparkscale show --format markdown > report.md
    """
    from sparkscale.analysis.report import report
    from sparkscale.present import markdown, structured, terminal
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        found = report(store, store.invocation(suite, run_))
    if form == "text":
        console().print(terminal.drawn(found))
    else:
        text = markdown.written(found) if form == "markdown" else structured.as_json(found)
        typer.echo(text.encode(), nl=form == "json")


@app.command("export")
def export_(
    form: Annotated[ExportFormat, typer.Option("--format", help="json prints whole records.")] = "json",
    to: Annotated[Path | None, typer.Option(help="File to write (default: stdout; parquet needs one).")] = None,
    suite: Annotated[str | None, typer.Option(help="The last run of this suite (default: of any).")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="A run by its id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The records of all runs.")] = False,
    out: Out = OUT,
) -> None:
    """Print or write the last run's records.

    Examples:

      sparkscale export --format json | jq '.[].seconds'

      sparkscale export --format parquet --to records.parquet --all
    """
    from sparkscale.present.export import export
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        records = store.records(None if every else store.invocation(suite, run_).id)
    with private.as_the_user_has_it():
        text = export(records, form, to)
    if text is not None:
        typer.echo(text.encode())  # data, which no terminal's encoding changes
