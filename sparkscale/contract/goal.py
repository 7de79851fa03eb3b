"""A goal: the ratio or difference of a metric between two measured cases, and its limit."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from sparkscale.contract.case import Case


class Side(BaseModel):
    """The cases on one side of a goal: those of one engine, with these parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    engine: str
    params: dict[str, Any] = {}

    def takes(self, case: Case) -> bool:
        """Returns true if the case belongs to this side."""
        same = (case.workload, case.engine) == (self.workload, self.engine)
        return same and all(case.params.get(name) == value for name, value in self.params.items())


class Goal(BaseModel):
    """A goal for a metric: for the ratio `upper` / `lower`, or for the difference `upper` - `lower`.

    If `lower` is None, the goal is for the metric of `upper` itself. `at_most` or `at_least` is the limit. A goal
    without a limit is shown without a verdict.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    metric: str
    kind: Literal["ratio", "difference"] = "ratio"
    upper: Side
    lower: Side | None = None
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if self.at_most is not None and self.at_least is not None:
            raise ValueError("a goal has at_most or at_least, not both")
        if self.kind == "ratio" and self.limit is not None and self.limit <= 0:
            raise ValueError("the limit of a ratio must be above 0")
        if self.lower is None and self.kind == "ratio":
            raise ValueError('a ratio needs `lower`: add it, or set kind = "difference" for a single case')
        return self

    @property
    def limit(self) -> float | None:
        """The upper or lower limit; None without a limit."""
        return self.at_least if self.at_most is None else self.at_most
