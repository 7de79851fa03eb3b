"""Declarations of workloads: phases, figures, qualities and engines.

Records refer to this description. So they can be read, compared and drawn by someone who does not have the workload,
or has another version.
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
        """Its heading, or its name if it has no heading."""
        return self.heading or self.name


class Figure(Declared):
    """A number that an engine reports with `run.figure`, in addition to its seconds.

    A figure that is a `metric` can be compared over records. asv keeps the figures that are `in_history`. A figure
    that has no value when it gets worse must not be `in_history`, because asv would then show nothing.
    """

    metric: bool = False
    in_history: bool = True


class QualityFigure(Declared):
    """A quality that a workload's `score` returns.

    `metric` names the metric that is computed from it. In a metric lower is better, so it is the quality itself, or 1
    minus a quality with a best value of 1 (`direction` "higher"). `skill` names a quality that is above 0 only if a
    result is better than a constant prediction. `constant` describes this prediction, as the end of a sentence. A
    value above `too_good` makes a leak likely. A value of `at_least` or less is no better than a constant prediction.
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
    quality from all data. `within` is the tolerance in words. `estimator` computes the quality from stored scores.
    The interval of the quality is symmetric on `scale`. `form` and `given_up_form` are Python's format specifications
    of a value and of a difference. `second` is another quality that tables also show. `truth` says in words
    what a perfect model would predict, such as "the true probabilities"; its quality is the ceiling. It is empty if
    no ceiling is known.
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

    `traits` lists the properties that its pattern defines and the engine has, such as "lays_out".
    """

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
    """The name of the parameter that makes a model larger; empty if the workload has none."""
    target: str = ""
    """The name of the parameter that sets the target loss; empty if the workload has none."""
    params: dict[str, Any] = {}
    """The default parameters, for suites that name no parameters."""
    engines: tuple[EngineDescription, ...] = ()

    def engine(self, name: str) -> EngineDescription | None:
        """Returns the description of the engine. None if the described version of the workload lacked it."""
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
        """Returns the declaration of a quality. If the quality is not declared, the result has only its name."""
        return next((quality for quality in self.qualities if quality.name == name), QualityFigure(name=name))

    @property
    def headings(self) -> dict[str, str]:
        """The headings of the numbers that tables show next to the judged quality, by stored name."""
        titles = {number.name: number.title for number in (*self.qualities, *self.figures)}
        return {name: titles[name] for name in self.beside if name in titles}
