"""`sparkscale plan`: what a job of a size that was never run takes, costs and reaches."""

from typing import TYPE_CHECKING, Annotated

import typer

from sparkscale.cli.options import (
    OUT,
    Features,
    Group,
    Holdout,
    Label,
    Out,
    ReportFormat,
    TaskOption,
    Time,
    described_by,
    duration,
    format_option,
    names,
    print_blocks,
    settings,
    source,
)
from sparkscale.contract.errors import ConfigError

if TYPE_CHECKING:
    from sparkscale.analysis.questions.plan.wish import Wish

app = typer.Typer()


@app.command()
def plan(
    workload: Annotated[
        str, typer.Option(metavar="NAME", help="Workload to plan, such as gradient_boosting: its name or last part.")
    ],
    rows: Annotated[str, typer.Option(help="Training rows of the job, such as 50e6, 10_000_000 or 100M.")],
    columns: Annotated[
        int | None, typer.Option(help="Feature columns of the job (default: as many as were measured).")
    ] = None,
    deadline: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time to model that must be met, such as 90s, 30m or 1h.")
    ] = None,
    max_loss: Annotated[
        float | None,
        typer.Option(
            help="Quality that may be given up against all rows, such as 0.005 of AUC (default: the workload's "
            "tolerance)."
        ),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Money that the job may cost, at the price of the cluster's profile.")
    ] = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Profiles that are offered: names, or paths of TOML files (default: the measured ones).",
        ),
    ] = None,
    executors: Annotated[
        str | None,
        typer.Option(
            metavar="N,…", help="Numbers of executors to consider (default: 1, 2, 4, … up to those of the profile)."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set that was measured: its name, or the path or URI of a table (default: the last one)."
        ),
    ] = None,
    does_propose: Annotated[
        bool, typer.Option("--propose", help="Say which runs would make the answer surer, and how long they take.")
    ] = False,
    does_measure: Annotated[bool, typer.Option("--measure", help="Measure these runs, and plan again.")] = False,
    within: Annotated[str, typer.Option(metavar="TIME", help="Time for these runs, such as 90s, 30m or 1h.")] = "10m",
    every: Annotated[bool, typer.Option("--all", help="Show every option, not only the best.")] = False,
    form: Annotated[ReportFormat, format_option("documents")] = "text",
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
    out: Out = OUT,
) -> None:
    """Plan a job of a size that was never run: which engine, where, with which share of the rows.

    Every option has a time, a cost, a memory and a loss of quality, with 90 % intervals. An option meets the wish if
    the upper ends do. The cheapest that does is recommended, with the settings to use. Nothing is measured: all
    figures follow from stored records.

    Examples:

      sparkscale plan --workload gradient_boosting --rows 50e6

      sparkscale plan --workload gradient_boosting --rows 50e6 --columns 80 --deadline 1h --max-loss 0.005

      sparkscale plan --workload random_forest --rows 2M --cluster small.toml,big.toml --executors 1,2,4,8 --budget 20

      sparkscale plan --workload gradient_boosting --rows 50e6 --propose --within 30m

      sparkscale plan --workload gradient_boosting --rows 50e6 --measure --within 30m

      sparkscale plan --workload logistic_regression --rows 1e6 --data clicks.parquet --label clicked --format json
    """
    from sparkscale.cli import plan_settings, plan_steps

    seconds = duration(within, "--within")
    wanted = source(
        data, settings(label=label, group=group, time=time, features=features, task=task, holdout=holdout)
    )
    request = plan_steps.Request(
        workload,
        _wish(rows, columns, deadline, max_loss, budget),
        described_by(wanted) if wanted else None,
        tuple(plan_settings.offer(name) for name in _clusters(cluster)),
        _counts(executors),
        every,
        _clusters(cluster),
    )
    if does_measure:
        print_blocks(plan_steps.measured(request, seconds, out), form)
    else:
        print_blocks(plan_steps.blocks(request, out, seconds if does_propose else None), form)


def _wish(
    rows: str, columns: int | None, deadline: str | None, max_loss: float | None, budget: float | None
) -> "Wish":
    """Returns the wish of the user. Raises ConfigError if an amount cannot be read."""
    from sparkscale.analysis.questions.plan.wish import Wish
    from workloads.datasets.amounts import parse_rows

    try:
        number = parse_rows(rows)
    except ValueError as error:
        raise ConfigError(f"--rows: {error}.") from error
    seconds = None if deadline is None else duration(deadline, "--deadline")
    return Wish(number, columns, seconds, max_loss, budget)


def _clusters(text: str | None) -> tuple[str, ...]:
    """Returns the offered profiles. Raises ConfigError if the option has none."""
    wanted = names(text)
    if wanted == ():
        raise ConfigError("--cluster names no profile: write names or paths like small.toml,big.toml.")
    return wanted or ()


def _counts(executors: str | None) -> list[int] | None:
    """Returns the numbers of executors. Raises ConfigError if one of them is no number of 1 or more."""
    wanted = names(executors)
    if wanted is None:
        return None
    wrong = next((text for text in wanted if not text.isdecimal() or int(text) < 1), None)
    if wrong is not None or not wanted:
        raise ConfigError(f"--executors {executors} is no list of numbers of 1 or more: write it like 1,2,4.")
    return sorted({int(text) for text in wanted})
