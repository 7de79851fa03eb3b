"""`sparkscale compare`: says what became worse, better, or stayed the same between two sides."""

from typing import Annotated

import typer

from sparkscale.cli.options import OUT, Out, ReportFormat, names, print_blocks
from sparkscale.contract.errors import ConfigError

app = typer.Typer()


@app.command("compare")
def compare_(
    base: Annotated[
        str,
        typer.Argument(
            help="What to compare with: the id of a run, a commit, a folder of records (its last run), or an archive."
        ),
    ],
    head: Annotated[str, typer.Argument(help="What to compare, named as BASE is.")],
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Metrics to compare, such as time_to_model,seconds_fit (default: time to model, memory that is "
            "needed, and the judged quality).",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0.001, max=10, help="Ratios within this share count as the same; 0.05 means 5 %.")
    ] = 0.05,
    across: Annotated[
        bool,
        typer.Option("--across", help="Compare although hosts, data, workloads or settings differ, and say in what."),
    ] = False,
    form: Annotated[
        ReportFormat,
        typer.Option("--format", help="text for a terminal, markdown for a pull request, json for programs."),
    ] = "text",
    out: Out = OUT,
) -> None:
    """Compare two runs or commits, case by case: what became slower, larger or less accurate?

    Each verdict is worse, better, the same, or not resolved. It needs 4 rounds of each side for an interval, and more
    if many cases are compared.

    Examples:

      sparkscale compare 0ed9514f7b4c aac623f62672

      sparkscale compare 9ef7e826 2d355e9a --metric seconds_fit

      sparkscale compare before.parquet results --format markdown
    """
    from sparkscale.analysis import compare_sides
    from sparkscale.analysis.compare import compare, refusals
    from sparkscale.analysis.compare_report import report

    with compare_sides.opened(base, out) as own, compare_sides.opened(head, out) as its:
        differing = refusals(own, its)
        if differing and not across:
            raise ConfigError(
                f"{its.name} cannot be compared with {own.name}: {'; '.join(differing)}. "
                "To compare them all the same, use --across."
            )
        compared = compare(own, its, names(metric), threshold)
        if not compared.rows and not compared.findings:
            raise ConfigError(f"{own.name} and {its.name} have no case and no metric in common: nothing is compared.")
        blocks = list(report(compared, differing))
    print_blocks(blocks, form)
