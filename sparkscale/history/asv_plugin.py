"""Extends asv with names for package environments, comparisons between them, and pages that need no Internet.

asv loads this module, because its configuration names it (`plugins`). Written against asv 0.6.6, which
`requirements.lock` pins.
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
"""The beginning of the names of our package environments."""

DIRTY = {"tree": "dirty"}
"""A requirement that marks results of uncommitted changes. It becomes part of the environment's name."""


class NamedEnvironment(ExistingEnvironment):  # type: ignore[misc]
    """An existing Python, named after the releases that differ from the installed ones (asv's `matrix`).

    asv itself names an existing environment after its path. So each new checkout would begin a new history.
    """

    tool_name = BASE

    def __init__(self, conf: Any, executable: str, requirements: dict[str, str], variables: dict[Any, str]) -> None:
        self._given_requirements = dict(requirements)
        super().__init__(conf, executable, requirements, variables)
        self._requirements = self._given_requirements

    @property
    def python(self) -> str:
        return f"{sys.version_info[0]}.{sys.version_info[1]}"

    @property
    def name(self) -> str:
        return environment_name(self._given_requirements)


def environment_name(requirements: dict[str, str]) -> str:
    """Returns the name that asv gives these requirements, such as sparkscale-py3.11-xgboost3.1.1."""
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    return str(get_env_name(BASE, python, requirements, {}))


def _results(conf: Any, machine: str, commit: str, environment: str, shown: str) -> Iterator[tuple[Any, ...]]:
    """Yields the results of one package environment: one item for each combination of parameters that was run.

    `shown` replaces the environment's name, so that both sides of a comparison have the same name.
    """
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
                if value is None or not math.isnan(value):  # None: the benchmark failed
                    params = [[parameter] for parameter in combination]
                    version = result.benchmark_version.get(key)
                    yield key, params, [value], [stats], [samples], version, machine, shown


def _side(conf: Any, machine: str, revision: str) -> tuple[str, str]:
    """Reads a text such as REVISION@NAME==VERSION,… and returns the commit and the name of the environment.

    The @ is followed by the releases that differ from the installed ones, and by `dirty` for a tree with
    uncommitted changes. `locked` or nothing means the installed releases. If there are no such results, raises
    asv's UserError, which names the recorded environments.
    """
    name, _, releases = revision.partition("@")
    commit = get_repo(conf).get_hash_from_name(name)
    parts = [part for part in releases.split(",") if part not in ("", "locked")]
    (dirty,) = DIRTY.items()
    requirements = dict(dirty if part == "dirty" else part.partition("==")[::2] for part in parts)
    environment = environment_name(requirements)
    recorded_environments = sorted(
        {results.env_name for results in iter_results_for_machine_and_hash(conf.results_dir, machine, commit)}
    )
    if environment not in recorded_environments or len(requirements) < len(parts):
        available = ", ".join(recorded_environments) or "none"
        raise util.UserError(f"No results of {revision} on {machine}: of {name} there are {available}")
    return commit, environment


def _compare(plain: Any, conf: Any, hash_1: str, hash_2: str, **options: Any) -> None:
    """Runs `asv compare` (`plain`). Also accepts REVISION@ENVIRONMENT, to compare different environments."""
    if "@" not in hash_1 + hash_2:
        plain(conf=conf, hash_1=hash_1, hash_2=hash_2, **options)
        return
    machine = options.pop("machine", None)
    options.pop("env_spec", None)
    if machine is None:
        raise util.UserError("--machine is missing: name a machine that `ls results/asv` lists")
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
    """Runs `asv publish`. Its pages need no Internet if `make pages` has fetched the libraries that they load."""
    status = plain(conf=conf, **options)
    if not make_offline(Path(conf.html_dir)):
        log.info("The pages load jQuery, Flot and Bootstrap from the Internet: to avoid it, run `make pages` before")
    return status


Compare.run = partial(_compare, Compare.run)
Publish.run = partial(_publish, Publish.run)
