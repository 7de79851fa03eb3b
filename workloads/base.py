"""Pattern, Workload and Engine: all that the author of a workload must read."""

import importlib
import importlib.util
import inspect
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
"""What a session can do, such as "spark_context". Engines state their needs, profiles what they offer."""

SPARK_CONTEXT: Capability = "spark_context"
CAPABILITY_NAMES = {SPARK_CONTEXT: "a SparkContext"}

CPU_AND_GPU: frozenset[Device] = frozenset({"cpu", "gpu"})
CUDA_NAMES: dict[Device, str] = {"cpu": "cpu", "gpu": "cuda"}
"""Of devices, in the words of PyTorch and XGBoost."""


def rows_of_slices(data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> int:  # noqa: ARG001
    """Training rows of a case, where a fraction is one of rows."""
    return data.rows(fraction, sample_seed)


@dataclass(frozen=True)
class Pattern:
    """A way to scale: its phases in order, and what its records carry.

    `time_to_model` names the phases by whose sum engines are compared: libraries put binning and transfer on
    different sides of the line between two phases, so no phase alone is comparable. `tables` are the Arrow tables of
    a record, `report` the folder of `sparkscale/analysis/patterns/` that draws its records, and `figures` what its
    engines may report beside seconds.
    """

    name: str
    phases: tuple[str, ...]
    time_to_model: tuple[str, ...]
    tables: tuple[str, ...]
    report: str
    figures: tuple[Figure, ...] = ()
    tuned: Callable[[Any, Any], Any] | None = None
    """From an engine and its workload, the engine that chooses its own capacity; None in a pattern without such."""
    rows: Callable[[PreparedDataset, Any, float, int], int] = rows_of_slices
    """Training rows of a case, from its data, parameters, fraction and sample seed."""
    within_groups: bool = False
    """Whether a hold-out must cut through groups, for each has a model of its own."""
    warmup: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters that replace a case's own in its warm-up, for a pattern that is costly even on the smallest sample.
    Cases that differ in nothing else share a warm-up."""
    target: str = ""
    """The parameter that holds the loss to reach, which belongs to one sample of one data set; empty: it has none."""
    fixed_seeds: bool = False
    """If true, every round has the run's first seeds: what its cases are given, or judged by, belongs to one draw."""
    warms_each_slot: bool = False
    """If true, a warm-up reads at least one file for each of Spark's slots: a slot's Python process starts, and
    imports its libraries, with its first task."""


@dataclass(frozen=True)
class Quality:
    """How good a workload's result is, the same for each of its engines.

    `score` turns the last phase's result into qualities by name, outside every clock; it may add tables and figures.
    `declared` are the qualities that it may return. `judged` says, for each task that the workload can have, which of
    them decides whether a sample is enough. `beside` names further qualities and figures that tables show. `check`
    raises, outside every clock, for training rows that no engine can use.
    """

    score: Callable[[Context, Any], dict[str, float]]
    judged: Mapping[Task, Judged] = field(hash=False)
    declared: tuple[QualityFigure, ...]
    beside: tuple[str, ...] = ()
    check: Callable[[Context], None] = lambda run: None  # noqa: ARG005

    @property
    def judged_by(self) -> dict[Task, str]:
        """The stored name of the quality that decides, by task."""
        return {task: judged.quality for task, judged in self.judged.items()}


class Params(BaseModel):
    """A workload's algorithm-level parameters, the same for each of its engines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def changed(self, values: Mapping[str, Any]) -> Self:
        """The same but for these. Raises ValidationError."""
        return type(self).model_validate({**self.model_dump(), **values})


class ModelParams(Params):
    """Parameters of what works with a model that has parameters of its own."""

    model: SerializeAsAny[Params]

    @model_validator(mode="before")
    @classmethod
    def _whole_model(cls, given: Any) -> Any:
        """Parameters of the model that are not given are the workload's."""
        if isinstance(given, dict) and isinstance(given.get("model"), dict):
            kind = cls.model_fields["model"].default
            if isinstance(kind, Params):
                return {**given, "model": kind.changed(given["model"])}
        return given


@dataclass(frozen=True)
class Sample:
    """What a case's parameters may depend on: the task, training rows, the data set's features and groupings, and
    the labels of the training rows. Such a statistic is given to an engine that needs it, so none pays a pass for it.
    """

    task: Task
    rows: int
    features: int
    groupings: tuple[str, ...] = ()
    labels: Moments | None = None
    """None if the data set's manifest does not say."""

    @classmethod
    def of(cls, data: PreparedDataset, rows: int, fraction: float, sample_seed: int) -> "Sample":
        """The sample of a case that trains on this many rows."""
        groupings = tuple(grouping.name for grouping in data.groupings)
        return cls(data.task, rows, len(data.columns), groupings, data.label_moments(fraction, sample_seed))

    @property
    def known_labels(self) -> Moments:
        """Raises DatasetError if the data set's manifest does not say what its labels are."""
        if self.labels is None:
            raise DatasetError("The data set's manifest holds no statistics of its labels: prepare the data anew.")
        return self.labels


class Engine(ABC):
    """One implementation of a workload.

    Beside what stands here an engine has one method per phase of its pattern: the first takes the context, each
    further one the context and the previous phase's result. What the engine cannot do like the others is declared
    in its docstring, in a paragraph that begins with "Differs:"; it is printed with every table.
    """

    name: ClassVar[str]
    placement: ClassVar[Placement]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    tasks: ClassVar[frozenset[Task]] = frozenset({"classification"})
    needs: ClassVar[frozenset[Capability]] = frozenset()
    model_placement: ClassVar[Placement | None] = None
    """Where the model is made that its cases are given (`prepared_model`); None: they train one, or many."""
    keeps_processes: ClassVar[bool] = False
    """Whether its phases use Python processes that live on for the next execution, until they have been idle for a
    minute (Spark's Python workers) or five (joblib's)."""
    starts_processes: ClassVar[bool] = False
    """Whether each execution starts Python processes of its own, however warm its worker is."""
    library: ClassVar[str] = ""
    """The package whose estimators it calls, where other packages have the same interface."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages without which it cannot run; `extra` is what installs them with sparkscale."""
    extra: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, Any]]
    """The library's own defaults for the parameters that `arguments` sets: what a careless port would get."""

    @abstractmethod
    def arguments(self, params: Any, sample: Sample) -> dict[str, Any]:
        """The workload's parameters in the library's own words."""

    def default_arguments(self, task: Task) -> dict[str, Any]:  # noqa: ARG002
        """`defaults`, for a library whose estimators of both tasks have the same."""
        return dict(self.defaults)

    def case_params(
        self, parameter_set: ParameterSet, params: Params, sample: Sample, capacity: Capacity | None = None
    ) -> dict[str, Any]:
        """What a case's `params` hold. With `tuned` the arguments are those of the least capacity."""
        if parameter_set == "defaults":
            return {"set": parameter_set, "arguments": self.default_arguments(sample.task)}
        if parameter_set == "aligned" or capacity is None:
            return {"set": parameter_set, **params.model_dump(), "arguments": self.arguments(params, sample)}
        least = params.model_copy(update={capacity.param: capacity.least})
        stated = {name: value for name, value in params.model_dump().items() if name != capacity.param}
        words = self.arguments(least, sample)
        return {"set": parameter_set, **stated, "capacity": capacity.model_dump(), "arguments": words}

    @classmethod
    def unsupported(cls, kind: str, capabilities: frozenset[Capability], device: Device) -> str | None:
        """Why it cannot run on a kind of cluster whose sessions offer these capabilities; None when it can."""
        missing = sorted(cls.needs - capabilities)
        if missing:
            wanted = ", ".join(CAPABILITY_NAMES.get(need, need) for need in missing)
            return f"{cls.name} needs {wanted}, which a session of kind '{kind}' does not have"
        if device not in cls.devices:
            return f"{cls.name} does not run on device {device}"
        return None

    @classmethod
    def obstacle(cls, data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> str | None:  # noqa: ARG003
        """Why it cannot train on this sample of this data set; None when it can."""
        return None if data.task in cls.tasks else f"{cls.name} does no {data.task}"

    @classmethod
    def missing(cls) -> str | None:
        """Which of its optional packages is not installed, and what installs it; None when all are."""
        for package in cls.packages:
            if importlib.util.find_spec(package) is None:
                return f"{cls.name} needs the package {package}: pip install 'sparkscale[{cls.extra}]'"
        return None

    def prepared_model(self, run: Context) -> PreparedModel:
        """The model that this case is given, made if it is not there: before any case, and outside every clock."""
        raise NotImplementedError

    def prepare(self, run: Context) -> None:  # noqa: B027 - most engines need nothing
        """Makes ready what each engine of the workload is given alike, such as a validation part. The worker calls it
        once per execution, before the phases and outside every clock.
        """

    def estimator(self, run: Context, name: str) -> Any:  # noqa: ARG002
        """A class of `library`, by its path below it, such as "cluster.KMeans"."""
        module, _, found = name.rpartition(".")
        return getattr(importlib.import_module(f"{self.library}.{module}"), found)

    @classmethod
    def specialised(cls, to: Any, **fields: Any) -> type[Self]:
        """The same engine for what has `tasks`, `devices` and `defaults` of its own: another engine, or a trainer."""
        own = {"tasks": to.tasks, "devices": to.devices & cls.devices, "defaults": to.defaults}
        return type(cls.__name__, (cls,), {**own, **fields, "__doc__": cls.__doc__, "__module__": cls.__module__})

    @classmethod
    def traits(cls) -> frozenset[str]:
        """The traits that tables need besides its name and placement. A pattern may add some of its own."""
        found = {"starts_processes": cls.starts_processes, "given_model": cls.model_placement == "node"}
        return frozenset(name for name, there in found.items() if there)

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", 1)[0]

    @classmethod
    def differs(cls) -> str:
        """The declared differences, on one line; empty when there is none."""
        _, found, text = (inspect.getdoc(cls) or "").partition("Differs: ")
        return " ".join(text.split("\n\n", 1)[0].split()) if found else ""


class ModelEngine(Engine):
    """An engine whose parameters (ModelParams) hold those of a model, which are the same whatever the set."""

    model: ClassVar[type[Engine]]
    """The data-parallel engine that makes the model."""
    kind: ClassVar[type[ModelParams]]
    """The workload's parameters."""

    def params(self, run: Context) -> Any:
        """The case's, of this kind."""
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
        capacity: Capacity | None = None,  # noqa: ARG002 - there is none
    ) -> dict[str, Any]:
        return super().case_params("aligned", params, sample) | {"set": parameter_set}


class NodeEngine(Engine):
    """Runs in one process on one node, with no JVM in its process tree."""

    placement = "node"


class SparkEngine(Engine):
    """Runs on a Spark session."""

    placement = "spark"
    trains_in_tasks: ClassVar[bool] = False
    """Whether Spark's tasks train, which need their own GPUs then."""

    @classmethod
    def task_threads(cls, params: Any, device: Device, executor_cores: int) -> int:  # noqa: ARG003
        """How many cores each of Spark's tasks needs (`spark.task.cpus`), of those that one executor has."""
        return 1

    @classmethod
    def unsupported(cls, kind: str, capabilities: frozenset[Capability], device: Device) -> str | None:
        if cls.trains_in_tasks and kind == "local" and device == "gpu":
            return f"{cls.name} trains in Spark's tasks, which local mode gives no GPU: use a standalone cluster"
        return super().unsupported(kind, capabilities, device)


@dataclass(frozen=True)
class Workload:
    """A pattern applied to one algorithm. `version` rises when its figures stop being comparable."""

    name: str
    summary: str
    pattern: Pattern
    quality: Quality
    params: Params
    engines: tuple[type[Engine], ...]
    capacity: Capacity | None = None
    """What the parameter set `tuned` chooses; None where there is no such set."""
    version: int = 1
    figures: tuple[Figure, ...] = ()
    """Figures that its engines may report besides those of its pattern."""

    @property
    def figure_names(self) -> frozenset[str]:
        """Names of the figures that its engines may report."""
        return frozenset(figure.name for figure in (*self.pattern.figures, *self.figures))

    def metrics(self) -> dict[str, Declared]:
        """The figures and qualities that it declares as metrics, by the metric's name."""
        figures = {figure.name: figure for figure in (*self.pattern.figures, *self.figures) if figure.metric}
        return {**figures, **{quality.metric: quality for quality in self.quality.declared if quality.metric}}

    @cached_property
    def description(self) -> WorkloadDescription:
        """The description that records refer to, so that they can be read without the workload."""
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
        """Raises KeyError for an engine that the workload does not have."""
        return {engine.name: engine for engine in self.engines}[name]

    def made(self, name: str, parameter_set: str) -> Any:
        """An engine ready to be run, for a case of this parameter set."""
        engine = self.engine(name)()
        if parameter_set == "tuned" and self.pattern.tuned:
            return self.pattern.tuned(engine, self)
        return engine
