"""`sparkscale show`, `sparkscale export` and `sparkscale import`: read what was measured, here or elsewhere."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from sparkscale.cli.options import OUT, Out
from sparkscale.contract import private
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count
from sparkscale.output import console

app = typer.Typer()


ReportFormat = Literal["text", "markdown", "json"]
ExportFormat = Literal["json", "csv", "parquet", "archive"]


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
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="json prints whole records; archive writes whole runs for `sparkscale import`."
        ),
    ] = "json",
    to: Annotated[
        Path | None, typer.Option(help="File to write (default: stdout; parquet and archive need one).")
    ] = None,
    suite: Annotated[str | None, typer.Option(help="The last run of this suite (default: of any).")] = None,
    run_: Annotated[str | None, typer.Option("--run", help="A run by its id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="The records of all runs.")] = False,
    condensed: Annotated[
        bool, typer.Option("--condensed", help="Of an archive: keep of the tables only what reports need.")
    ] = False,
    out: Out = OUT,
) -> None:
    """Print or write the last run's records.

    Examples:

      sparkscale export --format json | jq '.[].seconds'

      sparkscale export --format parquet --to records.parquet --all

      sparkscale export --format archive --condensed --to run.parquet
    """
    from sparkscale.analysis import patterns
    from sparkscale.present.export import export
    from sparkscale.store import archive
    from sparkscale.store.store import Store

    if condensed and form != "archive":
        raise ConfigError("--condensed needs --format archive.")
    if form in ("parquet", "archive") and to is None:
        raise ConfigError(f"--format {form} writes a binary file: name it with --to FILE.parquet.")
    with Store.existing(out) as store:
        runs = store.runs() if every else [store.invocation(suite, run_).id]
        if form == "archive":
            assert to is not None
            with private.as_the_user_has_it():
                archive.pack(store, runs, to, patterns.condensed if condensed else None)
            return
        records = [record for run in runs for record in store.records(run)]
    with private.as_the_user_has_it():
        text = export(records, form, to)
    if text is not None:
        typer.echo(text.encode())  # data, which no terminal's encoding changes


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="An archive that `sparkscale export --format archive` wrote.")],
    out: Out = OUT,
) -> None:
    """Copy the runs of an archive into a record store, to show and compare them like runs of this machine.

    Example:

      sparkscale import run.parquet && sparkscale show
    """
    from sparkscale.store import archive
    from sparkscale.store.store import Store

    with Store.open(out) as store:
        runs = archive.take(file, store)
    typer.echo(f"Imported {count(len(runs), 'run')} into {out}: {', '.join(runs)}.", err=True)
