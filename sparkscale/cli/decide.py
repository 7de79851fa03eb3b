"""`sparkscale decide`: measures by itself whatever answers the user's question soonest, within a time limit."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from sparkscale.cli.options import (
    EXIT_FAILED,
    EXIT_TOO_LITTLE,
    OUT,
    Features,
    Group,
    Holdout,
    Label,
    Out,
    Rows,
    TaskOption,
    Time,
    duration,
    names,
    settings,
    source,
)
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible

app = typer.Typer()


@app.command()
def decide(
    data: Annotated[
        str | None,
        typer.Option(help="Data set to decide for: its name, or the path or URI of a table (default: the suite's)."),
    ] = None,
    question: Annotated[
        str | None,
        typer.Option(
            help="sample: is a sample enough? engine: which engine on one node? cluster: does Spark pay, and from "
            "which size? workers: how many workers? (default: all)."
        ),
    ] = None,
    within: Annotated[
        str,
        typer.Option(help="Wall time that this call may take, such as 90s, 20m or 1h30m. Preparing the data counts."),
    ] = "20m",
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Clusters to measure on, instead of the suite's: names of profiles, or paths of TOML files.",
        ),
    ] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            help="The suite whose cases are candidates: a name, or the path of a TOML file (default: decide)."
        ),
    ] = None,
    workload: Annotated[
        str | None, typer.Option(help="Measure only this workload of the suite, such as gradient_boosting.")
    ] = None,
    confidence: Annotated[
        float | None,
        typer.Option(min=0.5, max=0.999, help="A question is resolved at this confidence (default: 0.95)."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed for samples, models and the order of executions (default: 0).")
    ] = None,
    resume: Annotated[
        bool, typer.Option(help="Go on with the last run of decide and all its records. The time limit counts anew.")
    ] = False,
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text for a terminal, json for programs.")
    ] = "text",
    rows: Rows = None,
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
    out: Out = OUT,
) -> None:
    """Measure whatever answers a question soonest, within a time limit, and print the answers.

    It begins with the smallest sample of each engine. Then it repeatedly measures what most reduces the doubt per
    second, and stops when every question is resolved or the time is over. While it measures, it shows the present
    answers and their doubt.

    Exits with 0 if every question is resolved, with 3 if one is not, with 2 if the request is wrong, and with 1 if
    nothing could be measured.

    Examples:

      sparkscale decide --data clicks.parquet --label clicked

      sparkscale decide --data clicks.parquet --label clicked --question engine --within 5m

      sparkscale decide --data classification --rows 4e6 --cluster standalone-1x1,standalone-2x1

      sparkscale decide --resume --within 30m
    """
    from sparkscale.decide import report
    from sparkscale.decide.live import view
    from sparkscale.decide.loop import decide as decided_by
    from sparkscale.decide.request import DecideRequest
    from sparkscale.measure.run.ledger import Ledger
    from sparkscale.output import console
    from sparkscale.present.terminal import drawn

    ledger = Ledger()
    given = settings(rows=rows, label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    request = DecideRequest(
        out=out,
        within_seconds=duration(within, "--within"),
        question=question,
        suite=suite,
        workload=workload,
        data=source(data, given),
        clusters=names(cluster),
        confidence=confidence,
        seed=seed,
        resume=resume,
    )
    resume_command = _resume_command(out, within)
    try:
        with interruptible():
            decided = decided_by(request, view, ledger)
    except KeyboardInterrupt:
        typer.echo(f"Interrupted. The records so far are kept: continue with `{resume_command}`.", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if form == "json":
        typer.echo(report.as_json(decided).encode())
    else:
        console().print(drawn(report.blocks(decided, resume_command)))
    if not any(record.outcome == "ok" and not record.is_warmup for record in decided.records):
        raise typer.Exit(EXIT_FAILED)
    if not decided.is_resolved:
        raise typer.Exit(EXIT_TOO_LITTLE)


def _resume_command(out: Path, within: str) -> str:
    """Returns the command that goes on with this run."""
    place = "" if out == OUT else f" --out {shlex.quote(str(out))}"
    return f"sparkscale decide --resume --within {within}{place}"
