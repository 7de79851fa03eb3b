"""`sparkscale evidence`: checks how often the printed intervals contain the true value."""

import os
from pathlib import Path
from typing import Annotated

import typer

from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer(
    no_args_is_help=True,
    help="Check how often printed intervals contain the true value: in simulations and fresh draws of real data.",
)

Repeats = Annotated[int, typer.Option(min=10, help="Number of simulations of each scenario.")]
Processes = Annotated[
    int | None, typer.Option(min=1, help="Number of parallel processes (default: one for each core).")
]

RealRecords = Annotated[
    list[Path], typer.Argument(help="Archives or folders with records of real rounds: their noise is used.")
]


@app.command()
def coverage(
    repeats: Repeats = 500,
    kind: Annotated[
        str | None,
        typer.Option(help="Simulate only this interval: auc, rmse, accuracy, variance_explained, inertia or rounds."),
    ] = None,
    processes: Processes = None,
) -> None:
    """Simulate how often the printed intervals contain the known true value.

    The scenarios differ in their numbers of units, rounds, and rows of each class. A scenario with a coverage outside
    the limits is simulated again, five times as often. The command takes about half an hour on two cores. Every
    simulation has a fixed seed.

    Examples:

      sparkscale evidence coverage

      sparkscale evidence coverage --kind auc --repeats 200
    """
    from sparkscale.evidence import coverage as simulation
    from sparkscale.evidence import show
    from sparkscale.present.terminal import drawn

    scenarios = simulation.scenarios()
    kinds = list(dict.fromkeys(scenario.kind for scenario in scenarios))
    if kind is not None and kind not in kinds:
        raise ConfigError(f"Unknown interval '{kind}': choose from {', '.join(kinds)}.")
    chosen = [scenario for scenario in scenarios if kind in (None, scenario.kind)]
    with console(stderr=True).status("starting") as status:
        results = simulation.coverage(chosen, repeats, _parallel(processes), status.update)
    console().print(drawn(show.coverage(results, repeats)))


@app.command()
def fractions(
    repeats: Repeats = 400,
    processes: Processes = None,
) -> None:
    """Simulate how often the answer to "is a sample enough?" is right.

    The simulated learning curves are known. They differ in the smallest fraction that is enough. The scenarios also
    differ in their numbers of units and of seeds. The command takes about ten minutes on two cores. Every simulation
    has a fixed seed.

    Examples:

      sparkscale evidence fractions

      sparkscale evidence fractions --repeats 50
    """
    from sparkscale.evidence import fractions as simulation
    from sparkscale.evidence import show
    from sparkscale.present.terminal import drawn

    with console(stderr=True).status("starting") as status:
        results = simulation.answered(simulation.truths(), repeats, _parallel(processes), status.update)
    console().print(drawn(show.fractions(results)))


@app.command()
def sides(
    records: RealRecords,
    comparisons: Annotated[int, typer.Option(min=10, help="Number of simulated comparisons for each row.")] = 2000,
) -> None:
    """Simulate how often a comparison of two sides claims a difference that is not there, or misses one that is.

    The noise is that of real rounds. The sides are equal, or one of their cases is slower in the head, or its AUC is
    smaller. The command takes about two minutes. Every simulation has a fixed seed.

    Examples:

      sparkscale evidence sides docs/results/records/*.parquet

      sparkscale evidence sides results --comparisons 400
    """
    from sparkscale.evidence import noise, quality_sides, show_verdicts
    from sparkscale.evidence import sides as simulation
    from sparkscale.present.terminal import drawn

    cases = noise.real_cases(records)
    pool = noise.noise_of(cases)
    equal, planted = [], []
    with console(stderr=True).status("starting") as status:
        for compared in simulation.COMPARED:
            for rounds in simulation.ROUNDS:
                status.update(f"{compared} cases at once, {rounds} rounds")
                equal.append(simulation.equal(pool, rounds, compared, comparisons))
                for factor in simulation.FACTORS:
                    planted.append(simulation.planted(pool, rounds, compared, factor, comparisons))
        status.update("AUC")
        models = quality_sides.real_models(records)
        losses = quality_sides.simulated(models, comparisons)
    blocks = show_verdicts.sides(pool, equal, planted, simulation.controls(cases), comparisons)
    console().print(drawn([*blocks, *show_verdicts.quality(losses, len(models), comparisons)]))


@app.command()
def gate(
    records: RealRecords,
    gates: Annotated[int, typer.Option(min=10, help="Number of simulated gates for each row.")] = 4000,
) -> None:
    """Simulate the rule by which `sparkscale gate` may end before all its rounds.

    Count false verdicts, slow-downs that are found, and rounds that are saved. Compare the rule with one look after
    all rounds, and with a test after every round. The noise is that of real rounds. The command takes about a minute.
    Every simulation has a fixed seed.

    Examples:

      sparkscale evidence gate docs/results/records/*.parquet

      sparkscale evidence gate results --gates 500
    """
    from sparkscale.evidence import gate as simulation
    from sparkscale.evidence import noise, show_verdicts
    from sparkscale.present.terminal import drawn

    pool = noise.noise_of(noise.real_cases(records))
    with console(stderr=True).status("starting") as status:
        results = simulation.results(pool, gates, status.update)
    console().print(drawn(show_verdicts.gate(pool, results)))


@app.command()
def decide(
    records: Annotated[
        list[Path] | None, typer.Argument(help="Archives or folders with records of full grids: they are replayed.")
    ] = None,
    worlds: Annotated[int, typer.Option(min=0, help="Number of synthetic worlds with a known truth.")] = 504,
    replays: Annotated[int, typer.Option(min=1, help="Number of replays of all recorded grids.")] = 500,
    processes: Processes = None,
) -> None:
    """Simulate how often `sparkscale decide` gives a wrong answer, and which part of the full grid's time it takes.

    The synthetic worlds differ in their difficulty: ties, late crossovers, slow rounds, drift, few units, timeouts. A
    recorded grid is replayed with its rounds in random order. The command takes about ten minutes on two cores. Every
    simulation has a fixed seed.

    Examples:

      sparkscale evidence decide docs/results/records/*.parquet

      sparkscale evidence decide --worlds 60
    """
    from sparkscale.evidence import decide as simulation
    from sparkscale.evidence import show_decide
    from sparkscale.present.terminal import drawn

    if not records and not worlds:
        raise ConfigError("Nothing to simulate: name records of a full grid, or give --worlds.")
    with console(stderr=True).status("starting") as status:
        of_worlds = simulation.synthetic(worlds, _parallel(processes), status.update) if worlds else []
        of_grids = simulation.recorded(records, replays, _parallel(processes), status.update) if records else []
    console().print(drawn(show_decide.decide(of_worlds, of_grids)))


@app.command()
def holdouts(
    lengths: Annotated[
        str, typer.Option(metavar="A,B,…", help="Lengths of the periods that are held out, in days.")
    ] = "1,7,14,28",
    draws: Annotated[int, typer.Option(min=2, help="Number of hold-outs to draw for each length.")] = 24,
    seeds: Annotated[int, typer.Option(min=1, help="Number of samples and models for each hold-out.")] = 3,
    trees: Annotated[int, typer.Option(min=1, help="Number of XGBoost's trees. The learning rate is 0.3.")] = 40,
    fraction: Annotated[str, typer.Option(help="Fraction of the training rows in a sample, such as 1/4.")] = "1/4",
) -> None:
    """Draw new hold-outs, samples and models of `flights`, and compare their spread with the printed standard errors.

    The command takes about ten minutes on two cores.

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
        results = list(study.studies(data, days, draws, seeds, params, share, cores, status.update))
    console().print(drawn(show.holdouts(results)))


@app.command()
def forecasts(
    repeats: Repeats = 400,
    question: Annotated[
        str | None, typer.Option(help="Simulate only this question: from how many rows, or from how many cores.")
    ] = None,
    processes: Processes = None,
) -> None:
    """Check two answers by simulation: from how many rows, and from how many cores, Spark pays.

    Count how often each is right. The true values are known: some lie within the measured sizes and cores, some
    beyond them, and some do not exist. The command takes about two minutes on two cores. Every simulation has a fixed
    seed.

    Examples:

      sparkscale evidence forecasts

      sparkscale evidence forecasts --question cores --repeats 1000
    """
    from sparkscale.evidence import forecasts as simulation
    from sparkscale.evidence import show
    from sparkscale.present.terminal import drawn

    scenarios = simulation.scenarios()
    questions = list(dict.fromkeys(scenario.question for scenario in scenarios))
    if question is not None and question not in questions:
        raise ConfigError(f"Unknown question '{question}': choose from {', '.join(questions)}.")
    chosen = [scenario for scenario in scenarios if question in (None, scenario.question)]
    with console(stderr=True).status("starting") as status:
        results = simulation.judged(chosen, repeats, _parallel(processes), status.update)
    console().print(drawn(show.forecasts(results)))


@app.command()
def curves(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="CSV with the columns dataset, learner, rows, error_rate and standard_error."
        ),
    ],
) -> None:
    """Judge forecasts of learning curves on curves that others measured, such as those of LCDB 1.1.

    Each curve is cut at a half and at a quarter of its largest size. The forecast for the largest size is then
    compared with the measured error rate. One half of the data sets calibrates the intervals, and the other half
    judges them.

    Examples:

      sparkscale evidence curves lcdb11.csv
    """
    from sparkscale.evidence import learning_curves, show
    from sparkscale.present.terminal import drawn

    measured = learning_curves.read(file)
    with console(stderr=True).status("fitting curves"):
        results = [learning_curves.judged(measured, multiple) for multiple in learning_curves.SIZES]
    console().print(drawn(show.curves(results)))


def _parallel(processes: int | None) -> int:
    """Returns the number of parallel processes: the requested one, or one for each core."""
    return processes or len(os.sched_getaffinity(0))


def _days(length: str) -> int:
    """Parses a length in days.

    Raises ConfigError if the year 2013 of `flights` has room for fewer than ten periods of this length.
    """
    from sparkscale.evidence.holdouts import DAYS

    if not length.strip().isdigit():
        raise ConfigError(f"--lengths: '{length.strip()}' is not a number of days. Write lengths such as 1,7,14.")
    if not 1 <= int(length) <= DAYS // 10:
        raise ConfigError(
            f"--lengths: {int(length)} is out of range: choose 1 to {DAYS // 10} days, so that a year "
            "has ten periods."
        )
    return int(length)
