"""Suites: TOML files that say which cases are measured, how often, and for how long at most."""

import itertools
import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cluster import profile
from sparkscale.contract.case import Capacity, Device, ParameterSet, parse_fraction
from sparkscale.contract.errors import ConfigError, plain
from sparkscale.contract.goal import Goal
from sparkscale.contract.location import scheme
from sparkscale.contract.target import Target
from sparkscale.contract.threshold import Threshold
from workloads import registry
from workloads.base import Engine, Params, Workload
from workloads.datasets.table import Table
from workloads.registry import AnySource

FRACTIONS = "1, 1/2, 1/4, 1/8, 1/16, 1/32, 1/64"

DATA_PARAMETERS = ("by", "target_log_loss")
"""Parameters that are valid for one data set only. `Suite.on` removes them from a suite."""

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Block(BaseModel):
    """A suite block: all combinations of a workload's engines, data sets, fractions, parameter sets and devices."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    engines: Names = ("*",)
    """Names of engines. "*" stands for every engine that runs on the suite block's device."""
    datasets: Names = ("flights",)
    fractions: Names = ("1",)
    sets: Annotated[tuple[ParameterSet, ...], Field(min_length=1)] = ("aligned",)
    devices: Annotated[tuple[Device, ...], Field(min_length=1)] = ("cpu",)
    params: dict[str, Any] = {}
    sweep: dict[str, Annotated[tuple[Any, ...], Field(min_length=1)]] = {}
    """Lists of values, by the name of the parameter. Every combination of the values is measured."""
    capacity: tuple[int, int] | None = None
    """The range (least, most) of the capacities for the parameter set `tuned`. None: the workload's range."""
    threads: int | None = Field(default=None, ge=1)
    """The number of threads and CPUs of each engine. None: all that the profile grants.

    It limits engines on one node only, so "*" then stands for these engines.
    """
    rounds: int | None = Field(default=None, ge=1)
    """The number of rounds of this suite block. None: the suite's number."""
    isolate: bool = False
    """If true, each execution gets a worker in which nothing ran before.

    Peaks of memory are then valid, and times are those of a cold worker.
    """
    only_tables: bool = False
    """If true, the suite block is measured only if the suite runs on a user's table (`Suite.on`)."""

    @property
    def variants(self) -> list[dict[str, Any]]:
        """Returns `params` once for each combination of the values in `sweep`, updated with these values."""
        combinations = itertools.product(*self.sweep.values())
        return [{**self.params, **dict(zip(self.sweep, values, strict=True))} for values in combinations]

    def has(self, engine: type[Engine], device: Device) -> bool:
        """Returns true if the suite block measures the engine on the device."""
        fits = device in engine.devices and (self.threads is None or engine.placement == "node")
        return engine.name in self.engines or ("*" in self.engines and fits)


class Suite(BaseModel):
    """The content of a suite's file. `deadline_seconds` limits the phases of one execution."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    summary: str = ""
    rounds: int = Field(default=3, ge=1)
    deadline_seconds: float = Field(default=300, gt=0)
    clusters: Names = ("local",)
    dataset: dict[str, AnySource] = {}
    """Data sets that the suite defines, by the names that its suite blocks use."""
    target: tuple[Target, ...] = ()
    """Validation losses that searches should reach, each for one sample of one data set."""
    goal: tuple[Goal, ...] = ()
    """Limits for the ratio or the difference of a metric between two cases."""
    gate: tuple[Threshold, ...] = ()
    """Thresholds for comparisons of two runs: the largest change of a metric that still counts as the same."""
    measure: Annotated[tuple[Block, ...], Field(min_length=1)]

    @field_validator("dataset", mode="before")
    @classmethod
    def _dataset_kind(cls, value: Any) -> Any:
        return (
            {name: registry.settings(settings) for name, settings in value.items()}
            if isinstance(value, dict)
            else value
        )

    def source(self, name: str) -> AnySource:
        """Returns the data set that the suite defines under this name.

        If the suite defines none, returns the registered data set with this name and its default settings.
        """
        if name in self.dataset:
            return self.dataset[name].model_copy(update={"name": name})
        return registry.source({"kind": name})

    def on(self, source: AnySource) -> "Suite":
        """Returns a copy of the suite that measures this data set instead of the suite's own.

        If every suite block trains one model per group, the hold-out is drawn within groups. Suite blocks with
        `only_tables` are kept only if the data set is a table.
        """
        if all(registry.workloads()[block.workload].pattern.within_groups for block in self.measure):
            source = registry.SOURCE.validate_python(source.within_groups().model_dump())
        blocks = tuple(
            block.model_copy(
                update={
                    "datasets": (source.title,),
                    # values for the suite's own data would be wrong here
                    "params": {name: value for name, value in block.params.items() if name not in DATA_PARAMETERS},
                    "only_tables": False,
                }
            )
            for block in self.measure
            if not block.only_tables or isinstance(source, Table)
        )
        return self.model_copy(update={"dataset": {source.title: source}, "measure": blocks})


def names() -> list[str]:
    """Returns the names of the suites that come with sparkscale, in alphabetical order."""
    folder = resources.files("sparkscale.measure.plan") / "suites"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load(name_or_path: str) -> Suite:
    """Reads the suite with this name, or else the suite in the file with this path.

    Raises ConfigError if the suite is wrong or does not exist. The message names the file, the line if it is
    known, and the valid choices.
    """
    path = Path(name_or_path)
    if name_or_path in names():
        text = (resources.files("sparkscale.measure.plan") / "suites" / f"{name_or_path}.toml").read_text()
    elif path.is_file():
        text = _read(path)
    else:
        raise ConfigError(
            f"Unknown suite '{name_or_path}': choose from {', '.join(names())}, or give the path of a TOML file."
        )
    loaded = _Reader(name_or_path, text).suite(path.stem)
    return loaded.model_copy(
        update={"dataset": {key: _placed(source, path.parent) for key, source in loaded.dataset.items()}}
    )


def _placed(source: AnySource, folder: Path) -> AnySource:
    """Returns the data set. If it is a table with a relative path, the path now begins with `folder`.

    `folder` is the folder of the suite's file.
    """
    if not isinstance(source, Table) or scheme(source.path):
        return source
    return source.model_copy(update={"path": str(folder / Path(source.path).expanduser())})


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"The suite {path} cannot be read: {error}. Check the path and that the file is UTF-8 text."
        ) from error


class _Reader:
    """Validates the text of one suite. Each error names the file, and the line if it is known."""

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.text = text
        self.block: int | None = None
        """The index (from 0) of the suite block to check; None while other parts of the suite are checked."""

    def suite(self, name: str) -> Suite:
        try:
            suite = Suite(name=name, **tomllib.loads(self.text))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"The suite {self.source} is no valid TOML: {error}.") from error
        except ValidationError as error:
            first = error.errors()[0]
            path = ".".join(str(part) for part in first["loc"])
            word = first["input"] if isinstance(first["input"], str) else str(first["loc"][-1])
            if first["loc"][0] == "measure" and len(first["loc"]) > 1:
                self.block = int(first["loc"][1])
            raise ConfigError(f"{self._at(word)}: '{path}': {plain(first['msg'])}.") from error
        except TypeError as error:  # the file has a key `name`
            raise ConfigError(f"{self._at('name')}: a suite has the name of its file: remove `name`.") from error
        for cluster in suite.clusters:
            if not Path(cluster).is_file():
                self._choose("cluster", cluster, profile.names())
        for target in suite.target:
            searched = {name: known for name, known in registry.workloads().items() if known.pattern.target}
            self._choose("workload", target.workload, list(searched))
            self._choose("metric", target.metric, list(searched[target.workload].quality.judged_by.values()))
        for goal in suite.goal:
            for side in filter(None, (goal.upper, goal.lower)):
                self._choose("workload", side.workload, list(registry.workloads()))
                engines = [engine.name for engine in registry.workloads()[side.workload].engines]
                self._choose("engine", side.engine, engines)
        for self.block, block in enumerate(suite.measure):
            self._check(block, [*registry.DATASETS, *suite.dataset])
        return suite

    def _check(self, block: Block, datasets: list[str]) -> None:
        self._choose("workload", block.workload, list(registry.workloads()))
        workload = registry.workloads()[block.workload]
        for engine in block.engines:
            self._choose("engine", engine, ["*", *(known.name for known in workload.engines)])
            if block.threads is not None and engine != "*" and workload.engine(engine).placement == "spark":
                raise ConfigError(
                    f"{self._at('threads')}: `threads` limits engines on one node, but {engine} runs on Spark: "
                    "measure it in a block without `threads`."
                )
        for dataset in block.datasets:
            self._choose("dataset", dataset, datasets)
        for fraction in block.fractions:
            try:
                parse_fraction(fraction)
            except (ValueError, ZeroDivisionError):
                raise ConfigError(
                    f"{self._at(fraction)}: unknown fraction '{fraction}': choose from {FRACTIONS}."
                ) from None
        if (parameter := workload.pattern.target) and any(parameter in variant for variant in block.variants):
            raise ConfigError(
                f"{self._at(parameter)}: a target loss holds for one sample of one data set and is no parameter: "
                "state it as [[target]], with workload, dataset_id, fraction, seed, metric and loss."
            )
        if "tuned" in block.sets:
            self._check_capacity(workload, block)
        try:
            params_of(workload, block)
        except ValidationError as error:
            first = error.errors()[0]
            valid = ", ".join(type(workload.params).model_fields)
            if not first["loc"]:  # the error is about several parameters together
                raise ConfigError(f"{self._at('params')}: {workload.name}: {plain(first['msg'])}.") from error
            key = ".".join(str(part) for part in first["loc"] if part not in ("range", "choice"))
            raise ConfigError(
                f"{self._at(str(first['loc'][0]))}: parameter '{key}' of {workload.name}: {plain(first['msg'])}; "
                f"it has {valid}."
            ) from error

    def _check_capacity(self, workload: Workload, block: Block) -> None:
        if workload.capacity is None:
            tunable = ", ".join(other.name for other in registry.workloads().values() if other.capacity)
            raise ConfigError(f"{self._at('tuned')}: {workload.name} has no set 'tuned': choose from {tunable}.")
        if block.capacity and not 1 <= block.capacity[0] <= block.capacity[1]:
            raise ConfigError(
                f"{self._at('capacity')}: the capacity's range is not [LEAST, MOST]: write it like [10, 160]."
            )

    def _choose(self, what: str, value: str, choices: list[str]) -> None:
        if value not in choices:
            raise ConfigError(f"{self._at(value)}: unknown {what} '{value}': choose from {', '.join(choices)}.")

    def _at(self, word: str) -> str:
        """Returns the start of a message: the name of the suite, and the number of a line.

        This is the first line that has `word`, in the current suite block if there is one. If no line has the
        word, the message has no number.
        """
        block = -1
        for number, line in enumerate(self.text.splitlines(), start=1):
            block += line.strip().startswith("[[measure")
            if word in line and (self.block is None or block == self.block):
                return f"The suite {self.source}, line {number}"
        return f"The suite {self.source}"


def params_of(workload: Workload, block: Block) -> list[Params]:
    """Returns the workload's parameters with the suite block's changes, once for each of its `variants`.

    Raises ValidationError if a parameter does not exist or has a wrong value.
    """
    return [workload.params.changed(variant) for variant in block.variants]


def capacity_of(workload: Workload, block: Block) -> Capacity | None:
    """Returns the parameter that the parameter set `tuned` chooses, with its range.

    The range comes from the suite block, or from the workload if the suite block has none. Returns None if the
    workload has no such parameter.
    """
    if workload.capacity is None or block.capacity is None:
        return workload.capacity
    least, most = block.capacity
    return Capacity(param=workload.capacity.param, least=least, most=most)
