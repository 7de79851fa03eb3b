"""Declarations of workloads: phases, figures, qualities and engines.

Records refer to this description. So they can be read, compared and drawn by someone who does not have the workload,
or has another version of it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import Placement, Task

Direction = Literal["lower", "higher"]
Estimator = Literal["auc", "rmse", "mean_score", "explained", "accuracy"]
Scale = Literal["plain", "logit", "log"]


class Declared(BaseModel):
    """The declaration of a number that records may hold.

    `name` is its stored name, `heading` its name in tables. `direction` says if lower or higher is better; None:
    neither is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unit: str = ""
    direction: Direction | None = None
    heading: str = ""
    summary: str = ""

    @property
    def title(self) -> str:
        """Its heading, or its name if it has no heading."""
        return self.heading or self.name


class Figure(Declared):
    """A number that an engine reports with `run.figure`, in addition to its seconds.

    A figure that is a `metric` can be compared over records. asv keeps those that are `in_history`. A figure that has
    no value when it gets worse must not be in it: asv would show nothing.
    """

    metric: bool = False
    in_history: bool = True


class QualityFigure(Declared):
    """A quality that a workload's `score` returns.

    `metric` names the metric that is computed from it, where lower is better. That is the quality itself, or 1 minus
    a quality with a best value of 1 (`direction` "higher"). `skill` names the quality that is above 0 only if a
    result is better than `constant`, which is the end of a sentence. A value above `too_good` makes a leak likely. A
    value of `at_least` or less is no better than a constant prediction.
    """

    metric: str = ""
    metric_unit: str = ""
    skill: str = ""
    constant: str = ""
    too_good: float | None = None
    at_least: float | None = None


class Judged(BaseModel):
    """The quality that judges a sample against all data.

    A sample is enough if it gives up at most `tolerance` of the quality, or that share of it if it is `relative`.
    `within` says so in words. `estimator` computes the quality from stored scores. The interval of the quality is
    symmetric on `scale`. `form` and `given_up_form` are Python's format specifications of a value and of a
    difference. `second` is another quality that tables show, too. `truth` names the model that reaches the best
    possible value, for data sets that know it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: str
    direction: Direction
    tolerance: float
    relative: bool = False
    within: str
    estimator: Estimator | None = None
    """None if no scores are stored. Then there is no interval."""
    scale: Scale = "plain"
    form: str = ".4f"
    given_up_form: str = "+.4f"
    second: str = ""
    truth: str = ""


class EngineDescription(BaseModel):
    """The description of an engine for tables. `traits` are traits of its pattern that it has, such as "lays_out"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    placement: Placement
    summary: str = ""
    differs: str = ""
    """A sentence about differences from the other engines that cannot be removed; empty if there are none."""
    traits: tuple[str, ...] = ()


class WorkloadDescription(BaseModel):
    """The description of a workload for its records. `engines` are in the order of tables.

    `report` names the tables that show its records: a folder of `sparkscale/analysis/patterns/`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    version: int
    summary: str
    pattern: str
    report: str
    phases: tuple[str, ...]
    time_to_model: tuple[str, ...]
    judged: dict[Task, Judged] = {}
    qualities: tuple[QualityFigure, ...] = ()
    figures: tuple[Figure, ...] = ()
    beside: tuple[str, ...] = ()
    """Names of the qualities and figures that tables show next to the judged quality."""
    capacity: str = ""
    """The parameter that makes a model larger; empty if the workload has none."""
    target: str = ""
    """The parameter that holds the loss to reach; empty if the workload has none."""
    params: dict[str, Any] = {}
    """The default parameters, for suites that state none."""
    engines: tuple[EngineDescription, ...] = ()

    def engine(self, name: str) -> EngineDescription | None:
        """Returns the description of the engine. None if the workload did not have it when it was described."""
        return next((engine for engine in self.engines if engine.name == name), None)

    def position(self, engine: str) -> int:
        """Returns the position of an engine in tables. Unknown engines come last."""
        names = [description.name for description in self.engines]
        return names.index(engine) if engine in names else len(names)

    def has(self, engine: str, trait: str) -> bool:
        """Returns true if the engine has the trait."""
        description = self.engine(engine)
        return description is not None and trait in description.traits

    def quality(self, name: str) -> QualityFigure:
        """Returns the declaration of a quality. If it is not declared, the result has only its name."""
        return next((quality for quality in self.qualities if quality.name == name), QualityFigure(name=name))

    @property
    def headings(self) -> dict[str, str]:
        """The headings of the numbers that tables show next to the judged quality, by stored name."""
        titles = {number.name: number.title for number in (*self.qualities, *self.figures)}
        return {name: titles[name] for name in self.beside if name in titles}
