"""`sparkscale bench`, `bench-controls` and `bench-harness`: commands that measure for asv's history of metrics."""

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
            help="Measure with this release instead of the installed one. Repeatable: several releases of one "
            "package are measured in turn, and releases of several packages in every combination. Rounds alternate "
            "between them.",
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of rounds (default: the suite's). asv's comparison needs 7, its interval 8."
        ),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Clusters to measure on, instead of the suite's.")
    ] = None,
    expressions: Annotated[
        list[str] | None,
        typer.Option(
            "--bench", "-b", metavar="REGEX", help="Measure only cases with a metric that has a matching name."
        ),
    ] = None,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            "-m",
            help="Name of this host in asv (default: its hostname). The cluster's name is appended.",
        ),
    ] = None,
    dirty: Annotated[
        bool,
        typer.Option("--dirty", help="Also record uncommitted changes, under a name that says so."),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run that was interrupted.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Like --resume, and also repeat cases that are not ok.")
    ] = False,
    if_changed: Annotated[
        bool,
        typer.Option(
            "--if-changed",
            help="Measure nothing if asv has a record of an earlier commit, and since then only files changed that "
            "cannot change a figure, such as documentation.",
        ),
    ] = False,
    out: Out = OUT,
) -> None:
    """Measure a suite and record it with asv for the current commit. `asv publish`, `compare` and `show` read it.

    Other options are passed on to `asv run`. The exit codes are the same as with `sparkscale run`.

    Examples:

      sparkscale bench

      sparkscale bench --suite quick --rounds 8

      sparkscale bench --bench xgboost --durations

      sparkscale bench --machine nightly --if-changed

      sparkscale bench --with xgboost==3.1.1 --with xgboost==3.2.0 && asv compare --machine $(hostname)-local
      HEAD@xgboost==3.1.1 HEAD@xgboost==3.2.0
    """
    from sparkscale.analysis.problems import failed
    from sparkscale.history.bench import Bench
    from sparkscale.history.bench import bench as run

    request = Bench(
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
        if_changed=if_changed,
    )
    try:
        with interruptible():
            recorded_runs = run(request, lambda text: typer.echo(text, err=True))
    except KeyboardInterrupt:
        typer.echo(
            "Interrupted. The records so far are kept, and asv's files are unchanged: continue with the same command "
            "and --resume.",
            err=True,
        )
        raise typer.Exit(EXIT_INTERRUPTED) from None
    if not recorded_runs:
        return
    for recorded_run in recorded_runs:
        for path in recorded_run.files:
            typer.echo(f"Recorded {recorded_run.environment.title} (run {recorded_run.invocation.id}): {path}")
    typer.echo(
        "See the history with `asv publish` and `asv preview`, or with `asv compare`: docs/history.md says how."
    )
    if any(failed(recorded_run.records, len(recorded_run.records)) for recorded_run in recorded_runs):
        raise typer.Exit(EXIT_FAILED)


@app.command("bench-controls")
def bench_controls(
    machine: Annotated[
        str | None, typer.Option("--machine", "-m", help="Name of this host in asv (default: its hostname).")
    ] = None,
    out: Out = OUT,
) -> None:
    """Compare asv's own timings with the recorded times: a small fit, and the start of a Spark session.

    It reads the records of `sparkscale bench` for the current commit on this machine.

    Examples:

      sparkscale bench --suite quick && sparkscale bench-controls
    """
    import platform

    from sparkscale.history.agreement import agreements, report
    from sparkscale.history.checkout import Checkout
    from sparkscale.store.store import Store

    with Store.existing(out) as store:
        compared = agreements(Checkout.here(allow_dirty=True), machine or platform.node(), store)
    console().print(report(compared))


@app.command("bench-harness")
def bench_harness(
    rounds: Annotated[
        int, typer.Option(min=1, help="Number of rounds, with `sparkscale bench` and with `asv run`.")
    ] = 2,
) -> None:
    """Compare the wall time of `sparkscale bench` with that of `asv run` on the same cases.

    It measures a small suite with `sparkscale bench`, then with `asv run` and a JVM for each case. Both run the
    committed code in a clone; nothing is recorded here. The command takes ten minutes on two cores.

    Examples:

      sparkscale bench-harness
    """
    from sparkscale.history.harness import harness, report

    with interruptible():
        results = harness(rounds, lambda text: typer.echo(text, err=True))
    console().print(report(results))
