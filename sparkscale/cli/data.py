"""`sparkscale data`: prepare data sets, and list, describe and remove cached data sets."""

from typing import Annotated, Any

import typer

from sparkscale.cli.options import Features, Group, Holdout, Label, Rows, TaskOption, Time, settings
from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer(no_args_is_help=True, help="Prepare data sets; list, describe and remove cached ones.")

Cluster = Annotated[str, typer.Option(help="Profile of the cluster that stores the data.")]


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="Name of a data set, or path or URI of a table.")],
    rows: Rows = None,
    label: Label = None,
    group: Group = None,
    time: Time = None,
    features: Features = None,
    task: TaskOption = None,
    holdout: Holdout = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting of a synthetic data set, such as features=20."),
    ] = None,
    tasks: Annotated[
        int | None, typer.Option(min=1, help="Number of tasks that write in parallel (default: one for each part).")
    ] = None,
    spark: Annotated[
        bool, typer.Option("--spark/--no-spark", help="Write with Spark's executors, or with processes on this node.")
    ] = True,
    cluster: Cluster = "local",
) -> None:
    """Prepare a data set on the storage of a cluster. If the data is there already, it is only checked.

    The data is the same for any number of tasks, with Spark and without.

    Examples:

      sparkscale data prepare classification --rows 2e6 --tasks 4

      sparkscale data prepare classification --rows 2e6 --no-spark --set features=20 --set balance=0.1

      sparkscale data prepare clicks.parquet --label clicked --time when
    """
    from sparkscale.cli.data_tables import described
    from sparkscale.measure.run import data
    from sparkscale.measure.run.progress import observer

    options = settings(features, rows=rows, label=label, group=group, time=time, task=task, holdout=holdout)
    source = data.source_of(name, {**options, **_settings(set_ or [])})
    console().print(described(data.prepare(source, cluster, observer, spark, tasks)))


@app.command("list")
def list_(cluster: Cluster = "local") -> None:
    """List the cached data sets and their sizes.

    Example: sparkscale data list
    """
    from cluster import profile
    from sparkscale.cli.data_tables import cached_table
    from sparkscale.measure.run import data

    cluster_profile = profile.load(cluster)
    console().print(cached_table(cluster_profile.storage_location, data.cached(cluster_profile)))


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="Name or id of a data set, as `sparkscale data list` shows it.")],
    cluster: Cluster = "local",
) -> None:
    """Describe a cached data set: rows, hold-out, columns, groups, ceiling, and a table's profile.

    Example: sparkscale data describe flights
    """
    from cluster import profile
    from sparkscale.cli.data_tables import described
    from sparkscale.measure.run import data

    for entry in data.find(name, profile.load(cluster)):
        if entry.data is None:
            console().print(f"{entry.id} is half-written: prepare it again or remove it.")
        else:
            console().print(described(entry.data))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="Name or id of a data set, as `sparkscale data list` shows it.")],
    every: Annotated[
        bool, typer.Option("--all", help="Remove all data sets of this name, if there are several.")
    ] = False,
    cluster: Cluster = "local",
) -> None:
    """Remove a cached data set. It can be made again.

    Example: sparkscale data remove classification-2M
    """
    from cluster import profile
    from sparkscale.measure.run import data
    from sparkscale.measure.run.lock import machine_lock

    cluster_profile = profile.load(cluster)
    entries = data.find(name, cluster_profile)
    if len(entries) > 1 and not every:
        ids = ", ".join(entry.id for entry in entries)
        raise ConfigError(f"'{name}' is {len(entries)} data sets: name one of {ids}, or add --all.")
    with machine_lock():
        for entry in entries:
            freed = data.remove(entry, cluster_profile)
            typer.echo(f"Removed {entry.id}: {freed / 2**20:,.1f} MiB.")


def _settings(texts: list[str]) -> dict[str, Any]:
    """Parses texts such as "features=20" into keys and values. Raises ConfigError for a text of another form."""
    parsed = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise ConfigError(f"--set {text} is not KEY=VALUE, such as features=20.")
        parsed[key] = value
    return parsed
