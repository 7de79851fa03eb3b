"""Defines Pattern, Workload and Engine. The author of a workload needs to read only this module."""

import importlib
import importlib.util
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, SerializeAsAny, model_validator

from sparkscale.contract.case import Capacity, Device, ParameterSet, Placement, Task
from sparkscale.contract.context import Context
from sparkscale.contract.dataset import Moments, PreparedDataset
from sparkscale.contract.declared import (
    Declared,
    EngineDescription,
    Figure,
    Judged,
    QualityFigure,
    WorkloadDescription,
)
from sparkscale.contract.errors import DatasetError
from sparkscale.contract.model import PreparedModel

Capability = str
"""An ability of a Spark session, such as "spark_context". `Engine.needs` names the abilities that an engine needs.
Each kind of cluster declares the abilities that its sessions have."""

SPARK_CONTEXT: Capability = "spark_context"
CAPABILITY_NAMES = {SPARK_CONTEXT: "a SparkContext"}

CPU_AND_GPU: frozenset[Device] = frozenset({"cpu", "gpu"})
CUDA_NAMES: dict[Device, str] = {"cpu": "cpu", "gpu": "cuda"}
"""The names that PyTorch and XGBoost use for the devices."""


def rows_of_slices(data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> int:  # noqa: ARG001
    """Returns the number of training rows of a case, for patterns that sample rows (not groups)."""
    return data.rows(fraction, sample_seed)


@dataclass(frozen=True)
class Pattern:
    """A way to scale machine learning: its phases in order, and the content of its records.

    `time_to_model` names the phases that are added up to compare engines. Single phases cannot be compared,
    because libraries bin and transfer rows in different phases. `tables` names the Arrow tables of a record.
    `report` names the folder in `sparkscale/analysis/patterns/` that makes the report. `figures` declares the
    numbers that engines may report besides seconds.
    """

    name: str
    phases: tuple[str, ...]
    time_to_model: tuple[str, ...]
    tables: tuple[str, ...]
    report: str
    figures: tuple[Figure, ...] = ()
    tuned: Callable[[Any, Any], Any] | None = None
    """A function that takes an engine and its workload, and returns an engine for the parameter set `tuned`. That
    engine chooses its own capacity, such as the number of trees. None if the pattern does not have this set."""
    rows: Callable[[PreparedDataset, Any, float, int], int] = rows_of_slices
    """A function that returns the number of training rows of a case. Its arguments are the data set, the
    parameters, the fraction and the sample seed."""
    within_groups: bool = False
    """If true, the hold-out must contain rows of every group, because each group has its own model."""
    warmup: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameter values that replace the case's own values in a warm-up. A pattern sets them if an execution is
    costly even on the smallest sample. Cases that differ only in these parameters share one warm-up."""
    target: str = ""
    """The name of the parameter that holds the target loss; empty if the pattern has no such parameter. A target is
    valid for one sample of one data set only."""
    fixed_seeds: bool = False
    """If true, every round uses the run's first seeds, because a prepared model or a target is valid for one sample
    only."""
    warms_each_slot: bool = False
    """If true, a warm-up reads at least one file per slot of Spark. The first Spark task of a slot starts the slot's
    Python process, which then imports its libraries."""


@dataclass(frozen=True)
class Quality:
    """The scoring of a workload's results. It is the same for all engines of the workload.

    `score` returns qualities by name, from the result of the last phase. It may also add tables and figures.
    `declared` are the qualities that `score` may return. `judged` holds, for each learning task, the quality that
    decides if a sample is enough. `beside` names more qualities and figures that tables show. `check` raises an error
    for training rows that no engine can use. `score` and `check` are not timed.
    """

    score: Callable[[Context, Any], dict[str, float]]
    judged: Mapping[Task, Judged] = field(hash=False)
    declared: tuple[QualityFigure, ...]
    beside: tuple[str, ...] = ()
    check: Callable[[Context], None] = lambda run: None  # noqa: ARG005

    @property
    def judged_by(self) -> dict[Task, str]:
        """Returns, for each learning task, the stored name of the quality that decides if a sample is enough."""
        return {task: judged.quality for task, judged in self.judged.items()}


class Params(BaseModel):
    """The parameters of a workload's algorithm. They are the same for all engines of the workload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Returns a copy of these parameters with some new values.

        Raises ValidationError if a name or a value is wrong.
        """
        return type(self).model_validate({**self.model_dump(), **values})


class ModelParams(Params):
    """Parameters of a workload that works with another workload's model. `model` holds that model's parameters."""

    model: SerializeAsAny[Params]

    @model_validator(mode="before")
    @classmethod
    def _whole_model(cls, given: Any) -> Any:
        """Fills in the missing parameters of the model from the workload's default model."""
        if isinstance(given, dict) and isinstance(given.get("model"), dict):
            kind = cls.model_fields["model"].default
            if isinstance(kind, Params):
                return {**given, "model": kind.changed(given["model"])}
        return given


@dataclass(frozen=True)
class Sample:
    """The facts about a case's sample from which engines compute their parameters.

    The facts are the learning task, the number of training rows, the data set's features and groupings, and
    statistics of the labels. Engines get these statistics from here, so that no engine needs a pass over the rows for
    them.
    """

    task: Task
    rows: int
    features: int
    groupings: tuple[str, ...] = ()
    labels: Moments | None = None
    """Statistics of the training rows' labels. None if the data set's manifest does not contain them."""

    @classmethod
    def of(cls, data: PreparedDataset, rows: int, fraction: float, sample_seed: int) -> "Sample":
        """Returns the sample of a case that trains on `rows` rows."""
        groupings = tuple(grouping.name for grouping in data.groupings)
        return cls(data.task, rows, len(data.columns), groupings, data.label_moments(fraction, sample_seed))

    @property
    def known_labels(self) -> Moments:
        """The statistics of the labels. Raises DatasetError if the data set's manifest does not contain them."""
        if self.labels is None:
            raise DatasetError(
                "The manifest of the data set has no statistics of its labels: remove the data set with "
                "`sparkscale data remove` and prepare it again."
            )
        return self.labels


class Engine(ABC):
    """One implementation of a workload.

    Besides the members below, an engine has one method per phase of its pattern. The first method takes the context.
    Each later method takes the context and the result of the previous phase. If the engine cannot do something in the
    same way as the other engines, its docstring says so in a paragraph that begins with "Differs:". Reports print
    this paragraph below their tables.
    """

    name: ClassVar[str]
    placement: ClassVar[Placement]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    tasks: ClassVar[frozenset[Task]] = frozenset({"classification"})
    needs: ClassVar[frozenset[Capability]] = frozenset()
    model_placement: ClassVar[Placement | None] = None
    """The placement of the engine that trains the prepared model (see `prepared_model`). None if the cases of this
    engine train their models themselves."""
    keeps_processes: ClassVar[bool] = False
    """If true, the phases use Python processes that keep running, so that the next execution uses the same
    processes. A process ends if it is idle for one minute (Spark's Python workers) or five minutes (joblib's
    processes)."""
    starts_processes: ClassVar[bool] = False
    """If true, each execution starts new Python processes, even if its worker is warm."""
    library: ClassVar[str] = ""
    """The package from which `estimator` takes classes. A subclass may name another package with the same
    interface. Empty if the engine does not use `estimator`."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Packages that this engine needs and that sparkscale does not install by default. `pip install
    'sparkscale[EXTRA]'` installs them, where EXTRA is the value of `extra`."""
    extra: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, Any]]
    """The library's own defaults for the parameters that `arguments` sets. A careless port to this library would use
    them."""

    @abstractmethod
    def arguments(self, params: Any, sample: Sample) -> dict[str, Any]:
        """Returns the workload's parameters as arguments of the library."""

    def default_arguments(self, task: Task) -> dict[str, Any]:  # noqa: ARG002
        """Returns the library's default arguments. Override this method if they depend on the learning task."""
        return dict(self.defaults)

    def case_params(
        self, parameter_set: ParameterSet, params: Params, sample: Sample, capacity: Capacity | None = None
    ) -> dict[str, Any]:
        """Returns the `params` of a case.

        For the parameter set `tuned`, the arguments are those for the least value of `capacity`. The search starts
        there.
        """
        if parameter_set == "defaults":
            return {"set": parameter_set, "arguments": self.default_arguments(sample.task)}
        if parameter_set == "aligned" or capacity is None:
            return {"set": parameter_set, **params.model_dump(), "arguments": self.arguments(params, sample)}
        least = params.model_copy(update={capacity.param: capacity.least})
        fixed = {name: value for name, value in params.model_dump().items() if name != capacity.param}
        arguments = self.arguments(least, sample)
        return {"set": parameter_set, **fixed, "capacity": capacity.model_dump(), "arguments": arguments}

    @classmethod
    def unsupported(cls, kind: str, capabilities: frozenset[Capability], device: Device) -> str | None:
        """Returns the reason why the engine cannot run on this device and this kind of cluster; None if it can.

        `capabilities` are the capabilities of the cluster's Spark sessions.
        """
        missing = sorted(cls.needs - capabilities)
        if missing:
            names = ", ".join(CAPABILITY_NAMES.get(need, need) for need in missing)
            return f"{cls.name} needs {names}, which a session of kind '{kind}' does not have"
        if device not in cls.devices:
            return f"{cls.name} does not run on device {device}"
        return None

    @classmethod
    def obstacle(cls, data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> str | None:  # noqa: ARG003
        """Returns the reason why the engine cannot train on this sample of this data set; None if it can."""
        return None if data.task in cls.tasks else f"{cls.name} does not support {data.task}"

    @classmethod
    def missing(cls) -> str | None:
        """Returns a sentence about a package that is not installed, with the command that installs it.

        Returns None if all packages that the engine needs are installed.
        """
        for package in cls.packages:
            if importlib.util.find_spec(package) is None:
                return f"{cls.name} needs the package {package}: pip install 'sparkscale[{cls.extra}]'"
        return None

    def prepared_model(self, run: Context) -> PreparedModel:
        """Returns the prepared model that this case uses. Makes the model if it does not exist.

        The worker calls this method before it runs any case. The call is not timed.
        """
        raise NotImplementedError

    def prepare(self, run: Context) -> None:  # noqa: B027 - most engines need nothing
        """Prepares the inputs that all engines of the workload share, such as a validation part.

        The worker calls this method once per execution, before the phases. The call is not timed.
        """

    def estimator(self, run: Context, name: str) -> Any:  # noqa: ARG002
        """Returns a class of the package `library`. `name` includes the module, such as "cluster.KMeans"."""
        module, _, class_name = name.rpartition(".")
        return getattr(importlib.import_module(f"{self.library}.{module}"), class_name)

    @classmethod
    def specialised(cls, to: Any, **fields: Any) -> type[Self]:
        """Returns a subclass of this engine that works with `to`, which is another engine or a trainer.

        The subclass has the `tasks` and `defaults` of `to`, and the devices that this engine and `to` both
        support. `fields` are further attributes of the subclass.
        """
        changes = {"tasks": to.tasks, "devices": to.devices & cls.devices, "defaults": to.defaults}
        return type(cls.__name__, (cls,), {**changes, **fields, "__doc__": cls.__doc__, "__module__": cls.__module__})

    @classmethod
    def traits(cls) -> frozenset[str]:
        """Returns the names of the properties that reports need to know, besides the engine's name and placement.

        The trait `given_model` means that the engine applies a prepared model that was trained on one node,
        without Spark. Subclasses may add more traits.
        """
        traits = {"starts_processes": cls.starts_processes, "given_model": cls.model_placement == "node"}
        return frozenset(name for name, present in traits.items() if present)

    @classmethod
    def summary(cls) -> str:
        """Returns the first sentence of the docstring."""
        paragraph = " ".join((inspect.getdoc(cls) or "").split("\n\n", 1)[0].split())
        return re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0]

    @classmethod
    def differs(cls) -> str:
        """Returns the differences that the docstring declares, on one line; empty if it declares none."""
        _, separator, text = (inspect.getdoc(cls) or "").partition("Differs: ")
        return " ".join(text.split("\n\n", 1)[0].split()) if separator else ""


class ModelEngine(Engine):
    """An engine that works with the model of another workload. Its parameters are a subclass of ModelParams.

    The model has the same parameters in every parameter set.
    """

    model: ClassVar[type[Engine]]
    """The data-parallel engine that makes the model."""
    kind: ClassVar[type[ModelParams]]
    """The class of the workload's parameters."""

    def params(self, run: Context) -> Any:
        """Returns the parameters of the case as an object of the class `kind`."""
        return self.kind.model_validate({name: run.case.params[name] for name in self.kind.model_fields})

    def arguments(self, params: Any, sample: Sample) -> dict[str, Any]:
        return self.model().arguments(params.model, sample)

    def default_arguments(self, task: Task) -> dict[str, Any]:
        return self.model().default_arguments(task)

    def case_params(
        self,
        parameter_set: ParameterSet,
        params: Params,
        sample: Sample,
        capacity: Capacity | None = None,  # noqa: ARG002 - it has no capacity
    ) -> dict[str, Any]:
        return super().case_params("aligned", params, sample) | {"set": parameter_set}


class NodeEngine(Engine):
    """Runs in one process on one node, with no JVM in its process tree."""

    placement = "node"


class SparkEngine(Engine):
    """Runs on a Spark session."""

    placement = "spark"
    trains_in_tasks: ClassVar[bool] = False
    """If true, models are trained in Spark tasks. On GPUs, each Spark task then needs its own GPU."""

    @classmethod
    def task_threads(cls, params: Any, device: Device, executor_cores: int) -> int:  # noqa: ARG003
        """Returns the number of cores for each Spark task (`spark.task.cpus`), at most all cores of one executor."""
        return 1

    @classmethod
    def unsupported(cls, kind: str, capabilities: frozenset[Capability], device: Device) -> str | None:
        if cls.trains_in_tasks and kind == "local" and device == "gpu":
            return f"{cls.name} trains in Spark tasks, which get no GPU in local mode: use a standalone cluster"
        return super().unsupported(kind, capabilities, device)


@dataclass(frozen=True)
class Workload:
    """A pattern applied to one algorithm.

    `version` is increased when new results can no longer be compared with older results.
    """

    name: str
    summary: str
    pattern: Pattern
    quality: Quality
    params: Params
    engines: tuple[type[Engine], ...]
    capacity: Capacity | None = None
    """The parameter that the parameter set `tuned` chooses, such as the number of trees, and its range. None if
    the workload has no such set."""
    version: int = 1
    figures: tuple[Figure, ...] = ()
    """The figures that the engines may report, in addition to the figures of the pattern."""

    @property
    def figure_names(self) -> frozenset[str]:
        """Returns the names of all figures that the engines may report."""
        return frozenset(figure.name for figure in (*self.pattern.figures, *self.figures))

    def metrics(self) -> dict[str, Declared]:
        """Returns the figures and qualities that are also metrics, by the name of the metric."""
        figures = {figure.name: figure for figure in (*self.pattern.figures, *self.figures) if figure.metric}
        return {**figures, **{quality.metric: quality for quality in self.quality.declared if quality.metric}}

    @cached_property
    def description(self) -> WorkloadDescription:
        """Returns the description that records refer to. It makes records readable without the workload's code."""
        return WorkloadDescription(
            workload=self.name,
            version=self.version,
            summary=self.summary,
            pattern=self.pattern.name,
            report=self.pattern.report,
            phases=self.pattern.phases,
            time_to_model=self.pattern.time_to_model,
            judged=dict(self.quality.judged),
            qualities=self.quality.declared,
            figures=(*self.pattern.figures, *self.figures),
            beside=self.quality.beside,
            capacity=self.capacity.param if self.capacity else "",
            target=self.pattern.target,
            params=self.params.model_dump(mode="json"),
            engines=tuple(
                EngineDescription(
                    name=engine.name,
                    placement=engine.placement,
                    summary=engine.summary(),
                    differs=engine.differs(),
                    traits=tuple(sorted(engine.traits())),
                )
                for engine in self.engines
            ),
        )

    def engine(self, name: str) -> type[Engine]:
        """Returns the class of an engine. Raises KeyError if the workload has no such engine."""
        return {engine.name: engine for engine in self.engines}[name]

    def create_engine(self, name: str, parameter_set: str) -> Any:
        """Returns an engine that is ready to run a case with this parameter set."""
        engine = self.engine(name)()
        if parameter_set == "tuned" and self.pattern.tuned:
            return self.pattern.tuned(engine, self)
        return engine
