"""What asv loads from here, by `plugins` of its configuration: environments that carry a name, their comparison, and
pages that need no Internet.

Written against asv 0.6.6, which `requirements.lock` pins.
"""

import itertools
import math
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from asv import util
from asv.commands.compare import Compare
from asv.commands.publish import Publish
from asv.console import log
from asv.environment import ExistingEnvironment, get_env_name
from asv.repo import get_repo
from asv.results import iter_results_for_machine_and_hash

from sparkscale.history.offline import make_offline

BASE = "sparkscale"
"""How the names of our environments begin."""

DIRTY = {"tree": "dirty"}
"""Stands among the requirements of what was recorded from a tree with changes, and so in its name."""


class NamedEnvironment(ExistingEnvironment):  # type: ignore[misc]
    """A Python that is there already, known by what differs in it (the configuration's `matrix`) and not by its path:
    asv's own names and graphs of an existing environment end with the checkout.
    """

    tool_name = BASE

    def __init__(self, conf: Any, executable: str, requirements: dict[str, str], variables: dict[Any, str]) -> None:
        self._asked = dict(requirements)
        super().__init__(conf, executable, requirements, variables)
        self._requirements = self._asked

    @property
    def python(self) -> str:
        return f"{sys.version_info[0]}.{sys.version_info[1]}"

    @property
    def name(self) -> str:
        return environment_name(self._asked)


def environment_name(requirements: dict[str, str]) -> str:
    """Such as sparkscale-py3.11-xgboost3.1.1."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return str(get_env_name(BASE, python, requirements, {}))


def _results(conf: Any, machine: str, commit: str, environment: str, shown: str) -> Iterator[tuple[Any, ...]]:
    """Of one environment, each combination that has been run, under a name that both sides of a comparison share."""
    for result in iter_results_for_machine_and_hash(conf.results_dir, machine, commit):
        if result.env_name != environment:
            continue
        for key in result.get_all_result_keys():
            axes = result.get_result_params(key)
            reads = (result.get_result_value, result.get_result_stats, result.get_result_samples)
            columns = [read(key, axes) for read in reads]
            for combination, (value, stats, samples) in zip(
                itertools.product(*axes), zip(*columns, strict=True), strict=True
            ):
                if value is None or not math.isnan(value):  # None: it failed
                    params = [[one] for one in combination]
                    version = result.benchmark_version.get(key)
                    yield key, params, [value], [stats], [samples], version, machine, shown


def _side(conf: Any, machine: str, revision: str) -> tuple[str, str]:
    """Commit and environment of REVISION@NAME==VERSION,…: the releases that differ, `dirty` for a tree with changes,
    `locked` or nothing for what is installed.

    Raises asv's UserError, which names what there is.
    """
    name, _, wanted = revision.partition("@")
    commit = get_repo(conf).get_hash_from_name(name)
    parts = [part for part in wanted.split(",") if part not in ("", "locked")]
    (dirty,) = DIRTY.items()
    asked = dict(dirty if part == "dirty" else part.partition("==")[::2] for part in parts)
    environment = environment_name(asked)
    there = sorted({one.env_name for one in iter_results_for_machine_and_hash(conf.results_dir, machine, commit)})
    if environment not in there or len(asked) < len(parts):
        raise util.UserError(
            f"No results of {revision} on {machine}: of {name} there are {', '.join(there) or 'none'}"
        )
    return commit, environment


def _compare(plain: Any, conf: Any, hash_1: str, hash_2: str, **options: Any) -> None:
    """`asv compare` that takes REVISION@ENVIRONMENT, too: its own compares revisions within one environment only."""
    if "@" not in hash_1 + hash_2:
        plain(conf=conf, hash_1=hash_1, hash_2=hash_2, **options)
        return
    machine = options.pop("machine", None)
    options.pop("env_spec", None)
    if machine is None:
        raise util.UserError("Name the machine with --machine: `ls results/asv` lists them")
    sides = [_side(conf, machine, revision) for revision in (hash_1, hash_2)]
    shown = " against ".join(environment for _, environment in sides)
    names = [f"{commit[:8]}@{environment}" for commit, environment in sides]
    Compare.print_table(
        conf,
        *names,
        resultset_1=_results(conf, machine, *sides[0], shown),
        resultset_2=_results(conf, machine, *sides[1], shown),
        machine=machine,
        commit_names=dict(zip(names, (environment for _, environment in sides), strict=True)),
        **options,
    )


def _publish(plain: Any, conf: Any, **options: Any) -> Any:
    """`asv publish`, whose pages need no Internet where `make pages` has fetched what they load."""
    status = plain(conf=conf, **options)
    if not make_offline(Path(conf.html_dir)):
        log.info("The pages load jQuery, Flot and Bootstrap from the Internet: `make pages` fetches them beforehand")
    return status


Compare.run = partial(_compare, Compare.run)
Publish.run = partial(_publish, Publish.run)
