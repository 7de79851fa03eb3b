"""Pattern, Workload and Engine: everything that the author of a workload must read."""

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
"""Something that a session can do, such as "spark_context". An engine needs some; a profile offers some."""

SPARK_CONTEXT: Capability = "spark_context"
CAPABILITY_NAMES = {SPARK_CONTEXT: "a SparkContext"}

CPU_AND_GPU: frozenset[Device] = frozenset({"cpu", "gpu"})
CUDA_NAMES: dict[Device, str] = {"cpu": "cpu", "gpu": "cuda"}
"""The names of devices in PyTorch and XGBoost."""


def rows_of_slices(data: PreparedDataset, params: Any, fraction: float, sample_seed: int) -> int:  # noqa: ARG001
    """Returns the number of training rows of a case, in a pattern in which a fraction is a fraction of the rows."""
    return data.rows(fraction, sample_seed)


@dataclass(frozen=True)
class Pattern:
    """A way to scale: its phases in order, and the content of its records.

    `time_to_model` names the phases that are added up to compare engines. No single phase is comparable, because
    libraries bin and transfer rows in different phases. `tables` names the Arrow tables of a record, and `report` the
    folder of `sparkscale/analysis/patterns/` that reports its records. `figures` are the numbers that its engines may
    report besides seconds.
    """

    name: str
    phases: tuple[str, ...]
    time_to_model: tuple[str, ...]
    tables: tuple[str, ...]
    report: str
    figures: tuple[Figure, ...] = ()
    tuned: Callable[[Any, Any], Any] | None = None
    """Turns an engine and its workload into an engine that chooses its own capacity. None: no engine can do that."""
    rows: Callable[[PreparedDataset, Any, float, int], int] = rows_of_slices
    """Returns the training rows of a case, from its data, parameters, fraction and sample seed."""
    within_groups: bool = False
    """If true, the hold-out must contain rows of every group, because each group has its own model."""
    warmup: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters that replace those of a case in its warm-up, for a pattern that is costly even on the smallest
    sample. Cases that differ only in these parameters share a warm-up."""
    target: str = ""
    """The parameter for the loss to reach. Such a loss belongs to one sample of one data set. Empty: there is
    none."""
    fixed_seeds: bool = False
    """If true, every round uses the run's first seeds, because a model or a target loss belongs to one draw."""
    warms_each_slot: bool = False
    """If true, a warm-up reads at least one file per slot of Spark. The Python process of a slot starts, and imports
    its libraries, with the slot's first Spark task."""


@dataclass(frozen=True)
class Quality:
    """How the result of a workload is scored, the same for each of its engines.

    `score` turns the last phase's result into qualities by name; it may add tables and figures. `declared` are the
    qualities that it may return. `judged` names, for each learning task of the workload, the quality that decides if
    a sample is enough. `beside` names more qualities and figures that tables show. `check` raises an error for
    training rows that no engine can use. `score` and `check` run outside every clock.
    """

    score: Callable[[Context, Any], dict[str, float]]
    judged: Mapping[Task, Judged] = field(hash=False)
    declared: tuple[QualityFigure, ...]
    beside: tuple[str, ...] = ()
    check: Callable[[Context], None] = lambda run: None  # noqa: ARG005

    @property
    def judged_by(self) -> dict[Task, str]:
        """Returns the stored name of the quality that decides, by learning task."""
        return {task: judged.quality for task, judged in self.judged.items()}


class Params(BaseModel):
    """The parameters of a workload's algorithm, the same for each of its engines."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def changed(self, values: Mapping[str, Any]) -> Self:
        """Returns these parameters with other values. Raises ValidationError if a name or a value is wrong."""
        return type(self).model_validate({**self.model_dump(), **values})


class ModelParams(Params):
    """Parameters of a workload that works with another workload's model. `model` holds that model's parameters."""

    model: SerializeAsAny[Params]

    @model_validator(mode="before")
    @classmethod
    def _whole_model(cls, given: Any) -> Any:
        """Fills in the model's parameters that are not given, from the workload's default."""
        if isinstance(given, dict) and isinstance(given.get("model"), dict):
            kind = cls.model_fields["model"].default
            if isinstance(kind, Params):
                return {**given, "model": kind.changed(given["model"])}
        return given


@dataclass(frozen=True)
class Sample:
    """The facts that a case's parameters may depend on.

    These are the learning task, the training rows, the data set's features and groupings, and the labels of the
    training rows. Engines get such statistics from here, so that none spends a pass over the rows on them.
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
        """Raises DatasetError if the data set's manifest does not contain statistics of its labels."""
        if self.labels is None:
            raise DatasetError(
                "The manifest of the data set has no statistics of its labels: remove the data set with "
                "`sparkscale data remove` and prepare it again."
            )
        return self.labels


class Engine(ABC):
    """One implementation of a workload.

    Besides the members below, an engine has one method per phase of its pattern. The first takes the context; each
    later one takes the context and the previous phase's result. If the engine cannot do something like the others,
    its docstring says so in a paragraph that begins with "Differs:". Every table prints that paragraph.
    """

    name: ClassVar[str]
    placement: ClassVar[Placement]
    devices: ClassVar[frozenset[Device]] = frozenset({"cpu"})
    tasks: ClassVar[frozenset[Task]] = frozenset({"classification"})
    needs: ClassVar[frozenset[Capability]] = frozenset()
    model_placement: ClassVar[Placement | None] = None
    """The placement on which the model for its cases is made (`prepared_model`). None: its cases train models."""
    keeps_processes: ClassVar[bool] = False
    """If true, its phases use Python processes that live on for the next execution. They end when they have been idle
    for one minute (Spark's Python workers) or five (joblib's)."""
    starts_processes: ClassVar[bool] = False
    """If true, each execution starts new Python processes, however warm its worker is."""
    library: ClassVar[str] = ""
    """The package that provides its estimators, if other packages have the same interface."""
    packages: ClassVar[tuple[str, ...]] = ()
    """Optional packages without which it cannot run. `pip install 'sparkscale[EXTRA]'` installs them, see `extra`."""
    extra: ClassVar[str] = ""
    defaults: ClassVar[Mapping[str, Any]]
    """The library's own defaults for the parameters that `arguments` sets: the result of a careless port."""

    @abstractmethod
    def arguments(self, params: Any, sample: Sample) -> dict[str, Any]:
        """Returns the workload's parameters as arguments of the library."""

    def default_arguments(self, task: Task) -> dict[str, Any]:  # noqa: ARG002
        """Returns the library's default arguments. Override it if they depend on the learning task."""
        return dict(self.defaults)

    def case_params(
        self, parameter_set: ParameterSet, params: Params, sample: Sample, capacity: Capacity | None = None
    ) -> dict[str, Any]:
        """Returns the `params` of a case. For the set `tuned`, its arguments are those of the least capacity."""
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
        """Returns why the engine cannot run on a cluster of this kind; None if it can.

        `capabilities` are those of the cluster's sessions.
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
        """Returns why the engine cannot train on this sample of this data set; None if it can."""
        return None if data.task in cls.tasks else f"{cls.name} does not support {data.task}"

    @classmethod
    def missing(cls) -> str | None:
        """Returns a sentence that names an optional package which is not installed, and the command that installs it.

        None if all are installed.
        """
        for package in cls.packages:
            if importlib.util.find_spec(package) is None:
                return f"{cls.name} needs the package {package}: pip install 'sparkscale[{cls.extra}]'"
        return None

    def prepared_model(self, run: Context) -> PreparedModel:
        """Returns the model that this case uses, and makes it if it does not exist.

        Called before any case, outside every clock.
        """
        raise NotImplementedError

    def prepare(self, run: Context) -> None:  # noqa: B027 - most engines need nothing
        """Prepares things that all engines of the workload get, such as a validation part.

        The worker calls it once per execution, before the phases and outside every clock.
        """

    def estimator(self, run: Context, name: str) -> Any:  # noqa: ARG002
        """Returns a class of `library` by its path below that package, such as "cluster.KMeans"."""
        module, _, class_name = name.rpartition(".")
        return getattr(importlib.import_module(f"{self.library}.{module}"), class_name)

    @classmethod
    def specialised(cls, to: Any, **fields: Any) -> type[Self]:
        """Returns this engine class with the `tasks`, `devices` and `defaults` of another engine or of a trainer."""
        changes = {"tasks": to.tasks, "devices": to.devices & cls.devices, "defaults": to.defaults}
        return type(cls.__name__, (cls,), {**changes, **fields, "__doc__": cls.__doc__, "__module__": cls.__module__})

    @classmethod
    def traits(cls) -> frozenset[str]:
        """Returns the traits that tables need besides its name and placement. A pattern may add more."""
        traits = {"starts_processes": cls.starts_processes, "given_model": cls.model_placement == "node"}
        return frozenset(name for name, present in traits.items() if present)

    @classmethod
    def summary(cls) -> str:
        """Returns the first line of the docstring."""
        return (inspect.getdoc(cls) or "").split("\n", 1)[0]

    @classmethod
    def differs(cls) -> str:
        """Returns the declared differences on one line; empty if there are none."""
        _, separator, text = (inspect.getdoc(cls) or "").partition("Differs: ")
        return " ".join(text.split("\n\n", 1)[0].split()) if separator else ""


class ModelEngine(Engine):
    """An engine with parameters that contain those of a model (ModelParams).

    The model's parameters are the same in every parameter set.
    """

    model: ClassVar[type[Engine]]
    """The data-parallel engine that makes the model."""
    kind: ClassVar[type[ModelParams]]
    """The class of the workload's parameters."""

    def params(self, run: Context) -> Any:
        """Returns the parameters of the case as an object of `kind`."""
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
    """If true, Spark tasks train, so each needs its own GPU."""

    @classmethod
    def task_threads(cls, params: Any, device: Device, executor_cores: int) -> int:  # noqa: ARG003
        """Returns the number of cores for each Spark task (`spark.task.cpus`), at most those of one executor."""
        return 1

    @classmethod
    def unsupported(cls, kind: str, capabilities: frozenset[Capability], device: Device) -> str | None:
        if cls.trains_in_tasks and kind == "local" and device == "gpu":
            return f"{cls.name} trains in Spark tasks, which get no GPU in local mode: use a standalone cluster"
        return super().unsupported(kind, capabilities, device)


@dataclass(frozen=True)
class Workload:
    """A pattern applied to one algorithm. `version` rises when new figures are not comparable with older ones."""

    name: str
    summary: str
    pattern: Pattern
    quality: Quality
    params: Params
    engines: tuple[type[Engine], ...]
    capacity: Capacity | None = None
    """The capacity that the parameter set `tuned` chooses. None: the workload has no such set."""
    version: int = 1
    figures: tuple[Figure, ...] = ()
    """Figures that its engines may report besides those of its pattern."""

    @property
    def figure_names(self) -> frozenset[str]:
        """Returns the names of the figures that its engines may report."""
        return frozenset(figure.name for figure in (*self.pattern.figures, *self.figures))

    def metrics(self) -> dict[str, Declared]:
        """Returns the figures and qualities that it declares as metrics, by the metric's name."""
        figures = {figure.name: figure for figure in (*self.pattern.figures, *self.figures) if figure.metric}
        return {**figures, **{quality.metric: quality for quality in self.quality.declared if quality.metric}}

    @cached_property
    def description(self) -> WorkloadDescription:
        """Returns the description that records refer to. With it, records can be read without the workload's code."""
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
