"""`sparkscale gate`: measures a base and a head by turns, and says whether the head is worse."""

from typing import Annotated

import typer

from sparkscale.cli.options import (
    EXIT_FAILED,
    EXIT_TOO_LITTLE,
    OUT,
    Out,
    ReportFormat,
    duration,
    format_option,
    print_blocks,
)
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible

app = typer.Typer()


@app.command()
def gate(
    base: Annotated[
        str | None, typer.Option(help="What to compare with: a branch, a tag or a commit (default: main).")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="A suite's name, or the path of a TOML file (default: asv).")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="The most rounds to measure (default: 8). Each has three arms.")
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Begin no round that would not end within this time, such as 90s, 20m or 1h30m (default: no limit).",
        ),
    ] = None,
    is_dirty: Annotated[
        bool, typer.Option("--dirty", help="Measure this checkout with its uncommitted changes as head.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the last gate, with its options. --within limits this call anew."),
    ] = False,
    form: Annotated[
        ReportFormat,
        format_option("a pull request"),
    ] = "text",
    out: Out = OUT,
) -> None:
    """Measure this commit against a base, by turns on this machine, and say whether it is worse.

    Each round measures three arms in random order: the base, the head (this commit), and the base again. The base
    again shows how many verdicts the noise of this machine makes. Commits are cloned into .asv/gate.

    Exits with 0 if nothing is worse, with 1 if something is worse, and with 3 if too little was measured to say: too
    few rounds, or missing cases. Exits with 2 if the request is wrong, or if a side cannot be measured at all.

    Examples:

      sparkscale gate

      sparkscale gate --base v0.1.0 --suite quick --rounds 12 --within 1h30m

      sparkscale gate --base origin/main --within 40m --format markdown > gate.md

      sparkscale gate --resume
    """
    from sparkscale.history.gate.measure import GateRequest, measure_arms
    from sparkscale.history.gate.verdicts import decide, judged
    from sparkscale.present import page

    request = GateRequest(
        out,
        base,
        suite,
        rounds,
        within_seconds=None if within is None else duration(within, "--within"),
        is_dirty=is_dirty,
        resume=resume,
    )
    try:
        with interruptible():
            measured = measure_arms(request, decide, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(
            f"Interrupted. Finished rounds are kept: continue with `sparkscale gate --resume --out {out}`.", err=True
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    made = judged(measured)
    print_blocks(made.blocks, form)
    typer.echo(f"Report: {page.write(made.blocks, measured.folder / 'report.html')}", err=True)
    if made.is_worse:
        raise typer.Exit(EXIT_FAILED)
    if made.is_too_little:
        raise typer.Exit(EXIT_TOO_LITTLE)
