"""`sparkscale compare`: says what became worse, better, or stayed the same between two sides."""

from typing import Annotated

import typer

from sparkscale.cli.options import (
    EXIT_FAILED,
    EXIT_TOO_LITTLE,
    OUT,
    Out,
    ReportFormat,
    format_option,
    names,
    print_blocks,
)
from sparkscale.contract import filter as filters

app = typer.Typer()


@app.command("compare")
def compare_(
    base: Annotated[
        str,
        typer.Argument(
            help="The side to compare with: the id of a run, a commit or revision (HEAD~1, main, "
            "HEAD@xgboost==3.1.1), a folder of records, FOLDER:RUN, or a file that `sparkscale export` wrote."
        ),
    ],
    head: Annotated[
        str | None, typer.Argument(help="The side to compare, named like BASE. It may be missing with --column.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Metrics to compare, such as time_to_model,seconds_fit,auc (default: time to model, memory that is "
            "needed, size of the model, the judged quality, and metrics that the gate tables of the suite name).",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1,
            help="Ratios within this share count as the same (default: 0.05, which is 5 %, or the gate tables of the "
            "suite).",
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE,…",
            help="Compare only the cases that match, such as 'engine=xgboost*,fraction=1'. Keys: "
            f"{', '.join(filters.PROPERTIES)}.",
        ),
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(
            metavar="KEY=A,B",
            help="Compare the cases with value A, as the base, with those that have value B, such as "
            "engine=grouped-map,apply-in-pandas.",
        ),
    ] = None,
    ignore: Annotated[
        str | None,
        typer.Option(metavar="KEY,…", help="Cases that differ only in these properties are the same case."),
    ] = None,
    row: Annotated[
        str | None,
        typer.Option(
            metavar="KEY,…",
            help="Properties that are columns of the tables (default: engine,set,parameters,fraction). A table is "
            "made for each combination of the others.",
        ),
    ] = None,
    across: Annotated[
        bool,
        typer.Option(
            "--across", help="Compare although hosts, data, workload versions or settings differ, and say in what."
        ),
    ] = False,
    form: Annotated[
        ReportFormat,
        format_option("a pull request"),
    ] = "text",
    out: Out = OUT,
) -> None:
    """Compare two runs or commits, case by case: what became slower, larger or less accurate?

    Each verdict is worse, better, the same, or not resolved. Exits with 0 if nothing is worse, with 1 if something
    is, with 2 if the request is wrong, and with 3 if too little was measured to say.

    Examples:

      sparkscale compare 0ed9514f7b4c aac623f62672

      sparkscale compare HEAD~1 HEAD --metric seconds_fit

      sparkscale compare HEAD@xgboost==3.1.1 HEAD@xgboost==3.2.0 --filter 'engine=xgboost*'

      sparkscale compare before.parquet results --format markdown

      sparkscale compare 0ed9514f7b4c --column engine=grouped-map,apply-in-pandas
    """
    from sparkscale.history import comparison

    given = names(row)
    request = comparison.Comparison(
        base,
        head,
        out,
        metrics=names(metric),
        threshold=threshold,
        wanted={} if expression is None else filters.parsed(expression, filters.PROPERTIES),
        column=comparison.column(column),
        ignored=names(ignore) or (),
        across=across,
        **({} if given is None else {"row_keys": given}),
    )
    result = comparison.result(request)
    print_blocks(result.blocks, form)
    if result.compared.worse:
        raise typer.Exit(EXIT_FAILED)
    if result.compared.is_incomplete:
        raise typer.Exit(EXIT_TOO_LITTLE)
