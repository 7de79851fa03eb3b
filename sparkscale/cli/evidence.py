"""`sparkscale evidence`: that printed intervals hold."""

import os
from typing import Annotated

import typer

from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer(
    no_args_is_help=True,
    help="Show that printed intervals hold: by simulation, and against fresh draws of real data.",
)


@app.command()
def coverage(
    repeats: Annotated[int, typer.Option(min=10, help="Simulations of each scenario.")] = 500,
    kind: Annotated[
        str | None,
        typer.Option(help="Only this interval: auc, rmse, accuracy, variance_explained, inertia or rounds."),
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Processes at once (default: all cores).")] = None,
) -> None:
    """Simulate how often the printed intervals hold a known truth, by units, rounds and rows of each class.

    Scenarios outside of the limits are simulated again, five times as often. Takes about half an hour on two cores.
    Every simulation has a fixed seed.

    Examples:

      sparkscale evidence coverage

      sparkscale evidence coverage --kind auc --repeats 200
    """
    from sparkscale.evidence import coverage as simulation
    from sparkscale.evidence import show
    from sparkscale.present.terminal import drawn

    every = simulation.scenarios()
    kinds = list(dict.fromkeys(scenario.kind for scenario in every))
    if kind is not None and kind not in kinds:
        raise ConfigError(f"Unknown interval '{kind}': choose from {', '.join(kinds)}.")
    chosen = [scenario for scenario in every if kind in (None, scenario.kind)]
    with console(stderr=True).status("starting") as status:
        cores = processes or len(os.sched_getaffinity(0))
        found = simulation.coverage(chosen, repeats, cores, status.update)
    console().print(drawn(show.coverage(found, repeats)))


@app.command()
def holdouts(
    lengths: Annotated[
        str, typer.Option(metavar="A,B,…", help="Days of a block that is held out whole.")
    ] = "1,7,14,28",
    draws: Annotated[int, typer.Option(min=2, help="Fresh hold-outs for each length.")] = 24,
    seeds: Annotated[int, typer.Option(min=1, help="Samples and models for each hold-out.")] = 3,
    trees: Annotated[int, typer.Option(min=1, help="Trees of XGBoost, with learning rate 0.3.")] = 40,
    fraction: Annotated[str, typer.Option(help="The sample.")] = "1/4",
) -> None:
    """Draw hold-outs, samples and models of `flights` anew, and compare their spread with the printed errors.

    Takes about ten minutes on two cores.

    Examples:

      sparkscale evidence holdouts

      sparkscale evidence holdouts --lengths 1,7 --draws 40
    """
    from cluster.profile import cache_folder
    from sparkscale.contract.case import parse_fraction
    from sparkscale.evidence import holdouts as study
    from sparkscale.evidence import show
    from sparkscale.present.terminal import drawn
    from workloads.datasets.flights import Flights
    from workloads.libraries.tasks import Here
    from workloads.libraries.xgboost import BoostedTrees

    days = [_days(length) for length in lengths.split(",")]
    try:
        share = parse_fraction(fraction)
    except (ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"--fraction: {error}.") from error
    with console(stderr=True).status("preparing flights") as status:
        data = Flights().prepare(str(cache_folder().absolute()), Here())
        params = BoostedTrees(trees=trees, learning_rate=0.3)
        cores = len(os.sched_getaffinity(0))
        found = list(study.studies(data, days, draws, seeds, params, share, cores, status.update))
    console().print(drawn(show.holdouts(found)))


def _days(length: str) -> int:
    """Raises ConfigError for a length of which ten blocks do not fit into the year."""
    from sparkscale.evidence.holdouts import DAYS

    if not length.strip().isdigit():
        raise ConfigError(f"--lengths: '{length.strip()}' is no number of days. Write some like 1,7,14.")
    if not 1 <= int(length) <= DAYS // 10:
        raise ConfigError(f"--lengths: a block has 1 to {DAYS // 10} days, so that there are ten to draw from.")
    return int(length)
