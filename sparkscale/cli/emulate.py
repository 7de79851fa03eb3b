"""`sparkscale emulate`: start a cluster of emulated hosts on this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkscale.contract import private
from sparkscale.contract.errors import ConfigError, plain

if TYPE_CHECKING:
    from cluster.profile import Emulated

app = typer.Typer()

USUAL = {"memory": "20%", "rate": "1gbit"}
"""The values of options that the name of a cluster does not state."""


@app.command()
def emulate(
    hosts: Annotated[int, typer.Option(help="Number of emulated hosts. Each runs one executor.")] = 2,
    cores: Annotated[int, typer.Option(help="Cores of each host. They are cores of this machine.")] = 1,
    memory: Annotated[
        str, typer.Option(help="Memory of each host: an amount such as 4g, or a share of this machine.")
    ] = USUAL["memory"],
    rate: Annotated[
        str, typer.Option(help="Rate of each host's link, in each direction, such as 1gbit or 100mbit.")
    ] = USUAL["rate"],
    delay: Annotated[
        str | None,
        typer.Option(help="Time that a packet takes between two hosts, such as 1ms (default: none is added)."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the cluster. It begins with `emulated` (default: made from the other options)."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml", help="Write the profile to this file and start nothing. Runs can then name the file."
        ),
    ] = None,
) -> None:
    """Start a cluster of emulated hosts on this machine, to see what a network costs. This needs root.

    Each host is a network namespace with its own link, CPUs and memory limit, and runs one executor. The driver has
    such a link, too. The links are measured before the cluster is used. Files are read from this machine's disk, not
    over the links. Records say `emulated`, and are never mixed with those of real hosts.

    Examples:

      sparkscale emulate --hosts 2 --cores 1 --rate 1gbit

      sparkscale emulate --rate 100mbit --name emulated-slow

      sparkscale emulate --rate 300mbit --write emulated-300.toml

      sparkscale run --cluster emulated-2x1,emulated-2x1-100mbit

      sparkscale cluster down emulated-2x1
    """
    from sparkscale.cli.cluster_tables import started
    from sparkscale.measure.run import clusters
    from sparkscale.measure.run.progress import observer

    fields = {"hosts": hosts, "cores": cores, "memory": memory, "rate": rate, **({"delay": delay} if delay else {})}
    profile = _profile(_name(name, write, fields), fields)
    if write:
        with private.with_users_umask():
            write.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in _stored(fields).items()))
        typer.echo(f"Wrote {write}: measure on it with `sparkscale run --cluster {write}`.")
        return
    for sentence in started(clusters.up_profile(profile, observer)):
        typer.echo(sentence)


def _stored(fields: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "emulated", **fields}


def _name(name: str | None, write: Path | None, fields: dict[str, Any]) -> str:
    """Returns the name of the cluster. Raises ConfigError if the file would give it another name."""
    from cluster.profile import name_of

    if write is not None:
        if write.suffix != ".toml":
            raise ConfigError(f"--write {write} is no TOML file: end its name with .toml.")
        if name is not None and name != name_of(str(write)):
            raise ConfigError(f"--write {write} names the cluster {name_of(str(write))}: leave --name out.")
        return name_of(str(write))
    if name is not None:
        return name_of(name)
    others = [
        fields[key].replace("%", "p") for key in ("rate", "memory", "delay") if fields.get(key) != USUAL.get(key)
    ]
    return "-".join(["emulated", f"{fields['hosts']}x{fields['cores']}", *others])


def _profile(name: str, fields: dict[str, Any]) -> "Emulated":
    """Returns the profile with these fields.

    Raises ConfigError that names the option with a wrong value, or if sparkscale has another profile of this name.
    """
    from pydantic import ValidationError

    from cluster.profile import Emulated, check_name, load, names

    check_name(name, "emulated")
    try:
        profile = Emulated.model_validate({"name": name, **_stored(fields)})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} {fields[str(first['loc'][0])]}: {plain(first['msg'])}.") from error
    if name not in names():
        return profile
    existing = load(name)
    if not isinstance(existing, Emulated) or existing.model_copy(update={"summary": ""}) != profile:
        raise ConfigError(f"sparkscale has a cluster '{name}' with other settings: choose another --name.")
    return existing
