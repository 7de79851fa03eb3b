"""Declarations of workloads: phases, figures, qualities and engines.

Records refer to these declarations. So someone who lacks the workload, or has another version of it, can still
read, compare and draw the records.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import Placement, Task

Direction = Literal["lower", "higher"]
Estimator = Literal["auc", "rmse", "mean_score", "explained", "accuracy"]
Scale = Literal["plain", "logit", "log"]


class Declared(BaseModel):
    """The declaration of a number that records may have.

    `name` is its stored name, `heading` its name in tables. `direction` says if lower or higher is better; None if
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
        """The heading, or the name if there is no heading."""
        return self.heading or self.name


class Figure(Declared):
    """A number that an engine reports with `run.figure`, in addition to the seconds of its phases.

    If `metric` is true, the figure is also a metric, which can be compared over records. If `in_history` is true,
    asv keeps this metric. `in_history` must be false for a figure that has no value when it gets worse, because
    asv would then show nothing.
    """

    metric: bool = False
    in_history: bool = True


class QualityFigure(Declared):
    """A quality that a workload's `score` returns.

    `metric` names the metric that is computed from the quality. In this metric, lower is better. So if `direction`
    is "higher", the metric is 1 minus the quality, and the best quality must be 1. `skill` names a quality that is
    above 0 only if a result is better than a constant prediction. `constant` describes this prediction in words
    that can end a sentence. A value above `too_good` makes a leak likely. A value of `at_least` or less is no
    better than a constant prediction.
    """

    metric: str = ""
    metric_unit: str = ""
    skill: str = ""
    constant: str = ""
    too_good: float | None = None
    at_least: float | None = None


class Judged(BaseModel):
    """The quality by which a sample is judged against all data.

    A sample is enough if it gives up at most `tolerance`. If `relative` is true, the tolerance is a share of the
    quality from all data. `within` is the tolerance as text, such as "an AUC within 0.005". `estimator` names the
    function that computes the quality from stored scores. The interval of the quality is symmetric on `scale`.
    `form` and `given_up_form` are Python's format specifications of a value and of a difference. `second` names
    another quality that tables also show. `truth` describes the values that a perfect model predicts, such as "the
    true probabilities". The quality of these values is the ceiling. `truth` is empty if no ceiling is known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: str
    direction: Direction
    tolerance: float
    relative: bool = False
    within: str
    estimator: Estimator | None = None
    """None if no scores are stored. In that case there is no interval."""
    scale: Scale = "plain"
    form: str = ".4f"
    given_up_form: str = "+.4f"
    second: str = ""
    truth: str = ""


class EngineDescription(BaseModel):
    """The description of an engine for tables.

    A pattern defines properties of its engines, such as "lays_out". `traits` lists those that this engine has.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    placement: Placement
    summary: str = ""
    differs: str = ""
    """A sentence about differences from the other engines that cannot be removed; empty if there are none."""
    traits: tuple[str, ...] = ()


class WorkloadDescription(BaseModel):
    """The description of a workload, to which records refer. `engines` are in the order in which tables show them.

    `report` names the folder of `sparkscale/analysis/patterns/` with the report that shows the records.
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
    """The name of the parameter that makes a model larger; empty if the workload has none."""
    target: str = ""
    """The name of the parameter that sets the target loss; empty if the workload has none."""
    params: dict[str, Any] = {}
    """The default parameters, for suites that name no parameters."""
    engines: tuple[EngineDescription, ...] = ()

    def engine(self, name: str) -> EngineDescription | None:
        """Returns the description of the engine. None if this version of the workload does not have the engine."""
        return next((engine for engine in self.engines if engine.name == name), None)

    def position(self, engine: str) -> int:
        """Returns the position of an engine in tables. Unknown engines come last."""
        names = [description.name for description in self.engines]
        return names.index(engine) if engine in names else len(names)

    def has(self, engine: str, trait: str) -> bool:
        """Returns true if the engine has the trait, which is a property such as `lays_out`."""
        description = self.engine(engine)
        return description is not None and trait in description.traits

    def quality(self, name: str) -> QualityFigure:
        """Returns the declaration of a quality. If the quality is not declared, the result has only its name."""
        return next((quality for quality in self.qualities if quality.name == name), QualityFigure(name=name))

    @property
    def headings(self) -> dict[str, str]:
        """The headings of the numbers that tables show next to the judged quality, by stored name."""
        titles = {number.name: number.title for number in (*self.qualities, *self.figures)}
        return {name: titles[name] for name in self.beside if name in titles}
