"""Declarations of workloads: phases, figures, qualities and engines.

Records refer to this description, so that they can be read, compared and drawn by who does not have the workload, or
has another version of it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.case import Placement, Task

Direction = Literal["lower", "higher"]
Estimator = Literal["auc", "rmse", "mean_score", "explained", "accuracy"]
Scale = Literal["plain", "logit", "log"]


class Declared(BaseModel):
    """A number that records may hold, by the name under which it is stored.

    `heading` is its name in tables. `direction` says which is better, a smaller or a larger number; None: neither is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    unit: str = ""
    direction: Direction | None = None
    heading: str = ""
    summary: str = ""

    @property
    def title(self) -> str:
        """Its heading; without one its name."""
        return self.heading or self.name


class Figure(Declared):
    """A number that an engine reports with `run.figure`, besides its seconds.

    A figure that is a `metric` can be compared over records. asv keeps those that are `in_history`: not one that has
    no value when it becomes worse, for that would look like nothing.
    """

    metric: bool = False
    in_history: bool = True


class QualityFigure(Declared):
    """A quality that a workload's `score` returns.

    `metric` is the metric that follows from it, where smaller is better: the quality itself, or 1 minus a quality of
    which 1 is the best (`direction` "higher"). `skill` is the quality that is above 0 only for a result better than
    `constant`, which a sentence ends with. A value above `too_good` makes a leak likely; one of `at_least` or less is
    no better than a constant.
    """

    metric: str = ""
    metric_unit: str = ""
    skill: str = ""
    constant: str = ""
    too_good: float | None = None
    at_least: float | None = None


class Judged(BaseModel):
    """The quality by which a sample is judged against all data.

    A sample is enough when it gives up at most `tolerance`: of the quality itself, or of its share where it is
    `relative`. `within` says so in words. `estimator` computes the quality from stored scores, `scale` is the scale
    on which its interval is symmetric, `form` and `given_up_form` are Python's format specifications of a value and
    of a difference. `second` is another quality that tables show beside it. `truth` names what reaches the best
    possible value, for data sets that know it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    quality: str
    direction: Direction
    tolerance: float
    relative: bool = False
    within: str
    estimator: Estimator | None = None
    """None: no scores are stored, so there is no interval."""
    scale: Scale = "plain"
    form: str = ".4f"
    given_up_form: str = "+.4f"
    second: str = ""
    truth: str = ""


class EngineDescription(BaseModel):
    """One engine, as tables need it. `traits` are those of its pattern, such as "lays_out"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    placement: Placement
    summary: str = ""
    differs: str = ""
    """A sentence about what it cannot do like the others; empty if there is nothing."""
    traits: tuple[str, ...] = ()


class WorkloadDescription(BaseModel):
    """A workload as its records need it. `engines` are in the order of tables.

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
    """Names of the qualities and figures that tables show beside the quality that it is judged by."""
    capacity: str = ""
    """The parameter by which a model grows; empty if it has none."""
    target: str = ""
    """The parameter that holds the loss to reach; empty if it has none."""
    params: dict[str, Any] = {}
    """Its parameters where a suite states none."""
    engines: tuple[EngineDescription, ...] = ()

    def engine(self, name: str) -> EngineDescription | None:
        """None for an engine that it did not have when it was described."""
        return next((engine for engine in self.engines if engine.name == name), None)

    def position(self, engine: str) -> int:
        """The place of an engine in tables; unknown ones come last."""
        names = [one.name for one in self.engines]
        return names.index(engine) if engine in names else len(names)

    def has(self, engine: str, trait: str) -> bool:
        """True if the engine has the trait."""
        found = self.engine(engine)
        return found is not None and trait in found.traits

    def quality(self, name: str) -> QualityFigure:
        """The declaration of a quality; of one that is not declared its name is all that is known."""
        return next((found for found in self.qualities if found.name == name), QualityFigure(name=name))

    @property
    def headings(self) -> dict[str, str]:
        """The headings of what tables show beside the judged quality, by stored name."""
        declared = {found.name: found.title for found in (*self.qualities, *self.figures)}
        return {name: declared[name] for name in self.beside if name in declared}
