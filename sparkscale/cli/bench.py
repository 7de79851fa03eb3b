"""`sparkscale bench` and its kin: the history that asv keeps."""

from typing import Annotated

import typer

from sparkscale.cli.options import EXIT_FAILED, OUT, Out, names
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.output import console

app = typer.Typer()


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="A suite's name, or the path of a TOML file.")] = "asv",
    releases: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME==VERSION",
            help="Measure with this release instead of the installed one. Repeatable: of one package each in turn, "
            "of several every combination; rounds alternate between them.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(min=1, help="Rounds, instead of the suite's number. asv's comparison needs 7, its interval 8."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Clusters to visit instead of the suite's.")
    ] = None,
    expressions: Annotated[
        list[str] | None,
        typer.Option("--bench", "-b", metavar="REGEX", help="Only the cases of which a figure's name matches."),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option("--machine", "-m", help="This host's name in asv (its hostname); the cluster's is added."),
    ] = None,
    dirty: Annotated[
        bool, typer.Option("--dirty", help="Record a tree with changes, under a name that says so.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what was interrupted.")] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Go on, and repeat what is not ok.")] = False,
    out: Out = OUT,
) -> None:
    """Measure a suite, and have asv record it for the present commit: for `asv publish`, `compare` and `show`.

    Further options go to `asv run`. Exits as `sparkscale run` does.

    Examples:

      sparkscale bench

      sparkscale bench --suite quick --rounds 8

      sparkscale bench --bench xgboost --durations

      sparkscale bench --with xgboost==3.1.1 --with xgboost==3.2.0 && asv compare --machine $(hostname)-local
      HEAD@xgboost==3.1.1 HEAD@xgboost==3.2.0
    """
    from sparkscale.analysis.problems import failed
    from sparkscale.history.bench import Bench
    from sparkscale.history.bench import bench as run

    asked = Bench(
        suite=suite,
        out=out,
        rounds=rounds,
        clusters=names(cluster),
        releases=tuple(releases or ()),
        machine=machine,
        dirty=dirty,
        resume=resume,
        retry_failed=retry_failed,
        bench=tuple(expressions or ()),
        options=tuple(context.args),
    )
    try:
        with interruptible():
            recorded = run(asked, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. What was measured is kept, and asv's files are as they were: go on with the same "
            "command and --resume.",
            err=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    for one in recorded:
        for path in one.files:
            typer.echo(f"Recorded {one.environment.title} (run {one.invocation.id}): {path}")
    typer.echo("Look at it with `asv publish` and `asv preview`, or `asv compare`: see docs/history.md.")
    if any(failed(one.records, len(one.records)) for one in recorded):
        raise typer.Exit(EXIT_FAILED)


@app.command("bench-controls")
def bench_controls(
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="This host's name in asv (its hostname).")
    ] = None,
    out: Out = OUT,
) -> None:
    """Hold what asv timed itself against the recorded figures: a small fit, and the start of a Spark session.

    Of the present commit, as `sparkscale bench` recorded it on this machine.

    Examples:

      sparkscale bench --suite quick && sparkscale bench-controls
    """
    import platform

    from sparkscale.history.agreement import agreements, report
    from sparkscale.history.checkout import Checkout
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        found = agreements(Checkout.here(allow_dirty=True), machine or platform.node(), store)
    console().print(report(found))


@app.command("bench-harness")
def bench_harness(
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of each way.")] = 2,
) -> None:
    """Measure what the harness costs: a small grid by `sparkscale bench`, then by `asv run` with a JVM for each case.

    Both run the committed code in a clone; nothing is recorded here. It takes ten minutes on two cores.

    Examples:

      sparkscale bench-harness
    """
    from sparkscale.history.harness import harness, report

    with interruptible():
        ways = harness(rounds, lambda text: typer.echo(text, err=True))
    console().print(report(ways))
