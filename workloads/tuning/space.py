"""Search spaces as data. A workload's space is translated into the same distributions for Optuna and for hyperopt.

Whole numbers and steps are drawn with equal probability, both ends included. On a log scale, a whole number has
the probability of all real numbers that are rounded to it. Optuna draws in this way. hyperopt's own `uniformint`
and `quniform` draw both ends with half the probability, so for hyperopt, ranges are widened by half a step at both
ends.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = int | float | str | bool
Parameters = dict[str, Any]


class Range(BaseModel):
    """The numbers from `low` to `high`, both included.

    With `whole` they are whole numbers. With `step` they are `low`, `low + step`, and so on. Otherwise they are
    real numbers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    scale: Literal["linear", "log"] = "linear"
    whole: bool = False
    step: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"the range from {self.low:g} to {self.high:g} is empty: `low` must be below `high`")
        if self.scale == "log" and self.low <= 0:
            raise ValueError(f"a log scale does not reach {self.low:g}: `low` must be above 0")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError(f"whole numbers from {self.low:g} to {self.high:g}: both ends must be whole")
        if self.step is not None and (self.scale == "log" or self.whole):
            raise ValueError("`step` is for real numbers on a linear scale")
        if self.step is not None and self.step > self.high - self.low:
            raise ValueError(f"a step of {self.step:g} is longer than the range")
        return self

    @property
    def steps(self) -> int:
        """The number of steps from `low` to the last step."""
        return math.floor((self.high - self.low) / (self.step or 1.0) + 1e-9)

    @property
    def drawn(self) -> tuple[float, float]:
        """The lower and the upper limit of a uniform random number, which `value` converts to a parameter's value.

        On a log scale the limits are logarithms. With steps they are numbers of steps. If `value` rounds the
        number, the range is wider by 0.5 at both ends.
        """
        if self.step is not None:
            return -0.5, self.steps + 0.5
        wider = 0.5 if self.whole else 0.0
        ends = self.low - wider, self.high + wider
        return (math.log(ends[0]), math.log(ends[1])) if self.scale == "log" else ends

    def value(self, number: float) -> Value:
        """Returns the parameter's value for a random number from the range `drawn`."""
        if self.step is not None:
            return self.low + self.step * min(max(round(number), 0), self.steps)
        unrounded = math.exp(number) if self.scale == "log" else number
        bounded = min(max(round(unrounded) if self.whole else unrounded, self.low), self.high)
        return int(bounded) if self.whole else bounded

    def points(self, count: int) -> list[Value]:
        """Divides the range into `count` parts of equal probability, and returns the middle of each part.

        Equal middles (after rounding) are returned once, so the list may be shorter.
        """
        low, high = self.drawn
        return list(dict.fromkeys(self.value(low + (high - low) * (n + 0.5) / count) for n in range(count)))

    def for_hyperopt(self, name: str) -> Any:
        """Returns hyperopt's expression for this range. It yields the parameter's value without `value`."""
        from hyperopt import hp
        from hyperopt.pyll import scope

        low, high = self.drawn
        if self.step is not None:
            return self.low + self.step * hp.quniform(name, low, high, 1)
        if self.whole:
            kind = hp.qloguniform if self.scale == "log" else hp.quniform
            return scope.int(kind(name, low, high, 1))
        return (hp.loguniform if self.scale == "log" else hp.uniform)(name, low, high)

    def for_optuna(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.scale == "log")
        high = self.high if self.step is None else self.low + self.step * self.steps
        return FloatDistribution(self.low, high, log=self.scale == "log", step=self.step)


class Choice(BaseModel):
    """A choice of one of several values that have no order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    choices: Annotated[tuple[Value, ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _are_distinct(self) -> Self:
        if len(set(self.choices)) < len(self.choices):
            raise ValueError("the choices are not distinct")
        return self

    def points(self, count: int) -> list[Value]:
        return list(self.choices[:count])

    def for_hyperopt(self, name: str) -> Any:
        from hyperopt import hp

        return hp.choice(name, list(self.choices))

    def for_optuna(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)


def _kind(given: Any) -> str:
    return "choice" if isinstance(given, Choice) or (isinstance(given, dict) and "choices" in given) else "range"


Dimension = Annotated[Annotated[Range, Tag("range")] | Annotated[Choice, Tag("choice")], Discriminator(_kind)]
Space = Mapping[str, Dimension]


def for_hyperopt(space: Space) -> dict[str, Any]:
    return {name: dimension.for_hyperopt(name) for name, dimension in space.items()}


def for_optuna(space: Space) -> "dict[str, BaseDistribution]":
    return {name: dimension.for_optuna() for name, dimension in space.items()}


def grid(space: Space, most: int) -> dict[str, list[Value]]:
    """Returns the values of each parameter for a grid of at most `most` configurations.

    The parameters take turns to get one more value, as long as the grid is not too large.
    """
    counts = dict.fromkeys(space, 1)
    growing = list(space)
    while growing:
        name = min(growing, key=lambda dimension: counts[dimension])
        wider = {**counts, name: counts[name] + 1}
        if (
            len(space[name].points(wider[name])) > len(space[name].points(counts[name]))
            and size(space, wider) <= most
        ):
            counts = wider
        else:
            growing.remove(name)
    return {name: dimension.points(counts[name]) for name, dimension in space.items()}


def size(space: Space, counts: Mapping[str, int]) -> int:
    """Returns the number of configurations of a grid. `counts` has the number of points of each dimension."""
    return math.prod(len(dimension.points(counts[name])) for name, dimension in space.items())


def configurations(points: Mapping[str, list[Value]]) -> Iterator[Parameters]:
    """Yields all configurations of a grid. The last parameter changes fastest."""
    for values in itertools.product(*points.values()):
        yield dict(zip(points, values, strict=True))
