"""`sparkscale show`, `sparkscale export` and `sparkscale import`: print, write and copy records."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from sparkscale.cli import to_mlflow
from sparkscale.cli.options import OUT, Out, ReportFormat, format_option, print_blocks
from sparkscale.contract import private
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import count

app = typer.Typer()


ExportFormat = Literal["json", "csv", "parquet", "archive"]

MLFLOW = "mlflow"
"""The value of --to that names MLflow instead of a file."""


@app.command("show")
def show_(
    suite: Annotated[
        str | None, typer.Option(help="Take the last run of this suite (default: of any suite).")
    ] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Take the run with this id.")] = None,
    record: Annotated[
        str | None, typer.Option(metavar="ID", help="Print only the record with this id, as JSON.")
    ] = None,
    form: Annotated[
        ReportFormat,
        format_option("documents"),
    ] = "text",
    out: Out = OUT,
) -> None:
    """Print what the last run measured: cost, quality, and whether a sample is enough.

    Examples:

      sparkscale show

      sparkscale show --suite standard --out results/nightly

      sparkscale show --format markdown > report.md

      sparkscale show --record 3f2a9c
    """
    from sparkscale.analysis.report import report
    from sparkscale.store.store import Store

    if record is not None:
        if suite or run_:
            raise ConfigError("--record excludes --suite and --run: the id of a record is enough.")
        with Store.existing(out) as store:
            typer.echo(store.record(record).model_dump_json(indent=1).encode())
        return
    with Store.existing(out) as store:
        blocks = report(store, store.invocation(suite, run_))
    print_blocks(blocks, form)


@app.command("export")
def export_(
    form: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            help="json, csv and parquet hold records; archive holds whole runs, which `sparkscale import` reads "
            "(default: json).",
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="File to write (default: stdout). parquet and archive need a file. The word mlflow writes to an "
            "MLflow tracking store instead."
        ),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Take the last run of this suite (default: of any suite).")
    ] = None,
    run_: Annotated[str | None, typer.Option("--run", help="Take the run with this id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Export all runs, not only the last.")] = False,
    condensed: Annotated[
        bool,
        typer.Option("--condensed", help="Keep only the parts of tables that reports need. Only for an archive."),
    ] = False,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            metavar="URI",
            help="Server or database of MLflow. Only for MLflow (default: MLFLOW_TRACKING_URI, or else mlflow.db in "
            "the directory of --out).",
        ),
    ] = None,
    experiment: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Experiment of MLflow. Only for MLflow (default: sparkscale/SUITE)."),
    ] = None,
    is_anonymous: Annotated[
        bool,
        typer.Option(
            "--anonymous",
            help="Replace the names of hosts, the user, paths, and your own tables, columns and groups. Only for "
            "MLflow.",
        ),
    ] = False,
    out: Out = OUT,
) -> None:
    """Print the records of the last run, write them to a file, or write the run to MLflow.

    Examples:

      sparkscale export --format json | jq '.[].seconds'

      sparkscale export --format parquet --to records.parquet --all

      sparkscale export --format archive --condensed --to run.parquet

      sparkscale export --to mlflow

      sparkscale export --to mlflow --tracking-uri http://localhost:5000 --experiment spark
    """
    from sparkscale.analysis import patterns
    from sparkscale.present.export import export
    from sparkscale.store import archive, record_file
    from sparkscale.store.store import Store

    if condensed and form != "archive":
        raise ConfigError("--condensed needs --format archive.")
    if to is not None and str(to).lower() == MLFLOW:
        if form is not None:
            raise ConfigError("--to mlflow excludes --format; a file of this name is ./mlflow.")
        if "" in (tracking_uri, experiment):
            raise ConfigError(f"{'--tracking-uri' if tracking_uri == '' else '--experiment'} has no value.")
        to_mlflow.export(out, suite, run_, every, tracking_uri, experiment, is_anonymous)
        return
    given = {"--tracking-uri": tracking_uri, "--experiment": experiment, "--anonymous": is_anonymous}
    if unfit := [name for name, value in given.items() if value]:
        raise ConfigError(f"{unfit[0]} needs --to mlflow.")
    with Store.existing(out) as store, private.with_users_umask():
        run = None if every else store.invocation(suite, run_).id
        if form == "archive":
            if to is None:
                raise ConfigError("An archive is binary: name a file with --to FILE.parquet.")
            archive.pack(store, [run] if run else store.runs(), to, patterns.condensed if condensed else None)
            return
        if form == "parquet":
            if to is None:
                raise ConfigError("Parquet is binary: name a file with --to FILE.parquet.")
            record_file.pack(store, store.records(run), to)
            return
        text = export(store.records(run), form or "json", to)
    if text is not None:
        typer.echo(text.encode())  # as bytes, because the encoding of the terminal must not change data


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            help="Archive that `sparkscale export --format archive` wrote, or a .csv file of measurements by others."
        ),
    ],
    out: Out = OUT,
) -> None:
    """Copy the runs of an archive, or measurements that others published, into a record store.

    They can then be shown and exported like other runs. They are never resumed. A .csv file has one row per
    measurement, with the columns engine, rows, seconds and others: the page "Measurements of others" lists them.

    Examples:

      sparkscale import run.parquet

      sparkscale import docs/results/records/quick.parquet --out /tmp/quick

      sparkscale import gbm-perf-spark.csv --out /tmp/published
    """
    from sparkscale.store import archive, published

    if file.suffix.lower() == ".csv":
        imported = published.take(file, out)
        typer.echo(f"Imported {count(imported.records, 'measurement')} into {out}.", err=True)
        if imported.skipped:
            rows = "1 row has" if imported.skipped == 1 else f"{imported.skipped} rows have"
            was = "was" if imported.skipped == 1 else "were"
            typer.echo(f"{rows} neither seconds nor an outcome, and {was} left out.", err=True)
        runs = [imported.run]
    else:
        runs = archive.take(file, out)
        typer.echo(f"Imported {count(len(runs), 'run')} into {out}.", err=True)
    for run in runs:
        typer.echo(f"Show it with `sparkscale show --run {run} --out {shlex.quote(str(out))}`.", err=True)
