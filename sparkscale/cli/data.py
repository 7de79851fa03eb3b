"""`sparkscale data`: make data sets ready, and see and remove what lies in the cache."""

from typing import Annotated, Any

import typer

from sparkscale.cli.options import Features, Group, Holdout, Label, Rows, TaskOption, Time, settings
from sparkscale.contract.errors import ConfigError
from sparkscale.output import console

app = typer.Typer(no_args_is_help=True, help="Make data sets ready; list, describe and remove what is cached.")

Cluster = Annotated[str, typer.Option(help="The cluster profile whose storage is meant.")]


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="A data set's name, or a table's path or URI.")],
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
    tasks: Annotated[int | None, typer.Option(min=1, help="How many tasks write (default: one per part).")] = None,
    spark: Annotated[
        bool, typer.Option("--spark/--no-spark", help="Spark's executors write, or processes of this node.")
    ] = True,
    cluster: Cluster = "local",
) -> None:
    """Make a data set ready on the storage of a cluster; what is there already is only checked.

    The data are the same for any number of tasks, with Spark and without.

    Examples:

      sparkscale data prepare classification --rows 2e6 --tasks 4

      sparkscale data prepare classification --rows 2e6 --no-spark --set features=20 --set balance=0.1

      sparkscale data prepare clicks.parquet --label clicked --time when
    """
    from sparkscale.cli.data_tables import described
    from sparkscale.measure.run import data
    from sparkscale.measure.run.progress import observer

    said = settings(features, rows=rows, label=label, group=group, time=time, task=task, holdout=holdout)
    source = data.source_of(name, {**said, **_settings(set_ or [])})
    console().print(described(data.prepare(source, cluster, observer, spark, tasks)))


@app.command("list")
def list_(cluster: Cluster = "local") -> None:
    """List the data sets that are cached, with their bytes.

    Example: sparkscale data list
    """
    from cluster import profile
    from sparkscale.cli.data_tables import cached_table
    from sparkscale.measure.run import data

    where = profile.load(cluster)
    console().print(cached_table(where.storage_location, data.cached(where)))


@app.command()
def describe(
    name: Annotated[str, typer.Argument(help="A name or an id that `sparkscale data list` shows.")],
    cluster: Cluster = "local",
) -> None:
    """Describe a cached data set: rows, hold-out, columns, groups, ceiling, and a table's profile.

    Example: sparkscale data describe flights
    """
    from cluster import profile
    from sparkscale.cli.data_tables import described
    from sparkscale.measure.run import data

    for found in data.find(name, profile.load(cluster)):
        if found.data is None:
            console().print(f"{found.id} is half-written: prepare it again, or remove it.")
        else:
            console().print(described(found.data))


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name or an id that `sparkscale data list` shows.")],
    every: Annotated[bool, typer.Option("--all", help="All of this name, if there are several.")] = False,
    cluster: Cluster = "local",
) -> None:
    """Remove a cached data set. It can be made again.

    Example: sparkscale data remove classification-2M
    """
    from cluster import profile
    from sparkscale.measure.run import data
    from sparkscale.measure.run.lock import machine_lock

    where = profile.load(cluster)
    found = data.find(name, where)
    if len(found) > 1 and not every:
        raise ConfigError(
            f"'{name}' is {len(found)} data sets: name one of {', '.join(one.id for one in found)}, or add --all."
        )
    with machine_lock():
        for one in found:
            freed = data.remove(one, where)
            typer.echo(f"Removed {one.id}: {freed / 2**20:,.1f} MiB.")


def _settings(texts: list[str]) -> dict[str, Any]:
    """From KEY=VALUE. Raises ConfigError for anything else."""
    found = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key or not value:
            raise ConfigError(f"--set {text} is not KEY=VALUE, such as features=20.")
        found[key] = value
    return found
