"""`sparkscale compare`: says what became worse, better, or stayed the same between two sides."""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated

import typer

from sparkscale.cli.options import (
    EXIT_FAILED,
    EXIT_TOO_LITTLE,
    OUT,
    Out,
    ReportFormat,
    names,
    print_blocks,
)
from sparkscale.contract import filter as filters
from sparkscale.contract.errors import ConfigError

app = typer.Typer()

KEYS = ("workload", "dataset", "cluster", "device", "engine", "set", "parameters", "fraction")


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
            "needed, the judged quality, and metrics that the suite's [[gate]] names).",
        ),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=10,
            help="Ratios within this share count as the same (default: 0.05, which is 5 %, or the suite's [[gate]]).",
        ),
    ] = None,
    expression: Annotated[
        str | None,
        typer.Option(
            "--filter",
            metavar="KEY=VALUE,…",
            help=f"Compare only the cases that match, such as 'engine=xgboost*,fraction=1'. Keys: {', '.join(KEYS)}.",
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
        typer.Option("--format", help="text for a terminal, markdown for a pull request, json for programs."),
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
    from sparkscale.analysis.questions.compare import compare as comparing
    from sparkscale.analysis.questions.compare import pairing
    from sparkscale.analysis.questions.compare.parts import Limits
    from sparkscale.analysis.questions.compare.report import ROW_KEYS, report
    from sparkscale.history import sides

    ignored, row_keys = list(names(ignore) or ()), names(row) or ROW_KEYS
    pairing.check_keys(ignored, "--ignore")
    pairing.check_keys(row_keys, "--row")
    key, values = _column(column)
    if head is None and not key:
        raise ConfigError("HEAD is missing: name a second side, or compare cases of BASE with --column KEY=A,B.")
    wanted = {} if expression is None else filters.parsed(expression, KEYS)
    with ExitStack() as stack:
        opened = [stack.enter_context(sides.opened(name, out)) for name in (base, base if head is None else head)]
        if wanted:
            opened = [pairing.selected(side, wanted) for side in opened]
        if key:
            opened = [
                pairing.selected(side, {key: [value]}, f"{side.name}, {value}")
                for side, value in zip(opened, values, strict=True)
            ]
            ignored.append(key)
        rules = Limits(rules=opened[1].thresholds)
        limits = rules if threshold is None else Limits(threshold, beside=rules.metrics)
        compared = comparing.compare(opened[0], opened[1], names(metric), limits, ignored)
        if compared.pairing.refusals and not across:
            raise ConfigError(
                f"{opened[1].name} cannot be compared with {opened[0].name}: {'; '.join(compared.pairing.refusals)}. "
                "To compare them all the same, use --across."
            )
        if not compared.pairing.pairs:
            raise ConfigError(
                f"{opened[0].name} and {opened[1].name} have no case in common: nothing is compared. "
                "If the cases differ in some property only, name it with --ignore, such as --ignore set,parameters."
            )
        blocks = list(report(compared, row_keys))
    print_blocks(blocks, form)
    if compared.worse:
        raise typer.Exit(EXIT_FAILED)
    if compared.is_incomplete:
        raise typer.Exit(EXIT_TOO_LITTLE)


def _column(text: str | None) -> tuple[str, Sequence[str]]:
    """Returns the property that tells base and head apart, and its two values. The key is empty without a text."""
    from sparkscale.analysis.questions.compare import pairing

    if text is None:
        return "", ()
    key, _, rest = text.partition("=")
    key, values = key.strip(), names(rest) or ()
    if len(values) != 2:
        raise ConfigError(f"--column {text} does not name two values: write it like engine=sklearn,xgboost.")
    pairing.check_keys([key], "--column")
    return key, values
