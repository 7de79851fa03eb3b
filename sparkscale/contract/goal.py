"""A goal: a metric of one measured case over that of another, and how large or small it should be."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from sparkscale.contract.case import Case


class Side(BaseModel):
    """The cases of one side of a goal: an engine of a workload, with these parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    engine: str
    params: dict[str, Any] = {}

    def takes(self, case: Case) -> bool:
        """True if the case belongs to this side."""
        same = (case.workload, case.engine) == (self.workload, self.engine)
        return same and all(case.params.get(name) == value for name, value in self.params.items())


class Goal(BaseModel):
    """`upper` over `lower`, or their difference, of a metric; without `lower` the metric itself.

    It should be `at_most`, or `at_least`, this; with neither it is shown without a verdict.
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
            raise ValueError("the limit of a ratio is above 0")
        if self.lower is None and self.kind == "ratio":
            raise ValueError('a ratio needs `lower`; of a single case the kind is "difference"')
        return self

    @property
    def limit(self) -> float | None:
        """The most, or the least, that it should be."""
        return self.at_least if self.at_most is None else self.at_most
