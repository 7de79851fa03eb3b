"""A case, the thing that a run measures, and its id."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Placement = Literal["node", "spark"]
Device = Literal["cpu", "gpu"]
Task = Literal["classification", "regression", "clustering"]
ParameterSet = Literal["aligned", "defaults", "tuned"]

SLICES = 64

PUBLISHED = "published"
"""The cluster kind of measurements that others published. sparkscale imports them from a CSV file."""


def parse_fraction(text: str) -> float:
    """Returns the value of a fraction that a user wrote, such as "1/16", "1" or "all".

    Raises ValueError if it is not 1/2^j with 0 ≤ j ≤ 6. The reason is that training rows lie in 64 slices.
    """
    numerator, _, denominator = ("1" if text == "all" else text).partition("/")
    value = int(numerator) / int(denominator or 1)
    if not 0 < value <= 1 or fraction_slices(value) not in {2**j for j in range(7)}:
        raise ValueError(f"{text} is no power of two between 1/64 and 1")
    return value


def fraction_slices(fraction: float) -> float:
    """Returns how many of the 64 slices a fraction has. It is a whole number for every valid fraction."""
    return fraction * SLICES


def show_fraction(fraction: float) -> str:
    """Returns the text of a fraction: "1" for 1.0, "1/4" for 0.25, "0.3" for 0.3."""
    if fraction == 1:
        return "1"
    parts = round(1 / fraction)
    return f"1/{parts}" if math.isclose(fraction * parts, 1, rel_tol=1e-6) else f"{fraction:.3g}"


def digest(value: Any) -> str:
    """Returns an id of a JSON value: the first sixteen hex digits of the SHA-256 of its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def by_path(params: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested parameters as a flat dictionary. Its keys are paths such as "model.trees"."""
    flat: dict[str, Any] = {}
    for name, value in params.items():
        flat |= by_path(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


class Capacity(BaseModel):
    """The parameter that makes a model larger, and the range of values for the parameter set `tuned`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    param: str
    least: int = Field(ge=1)
    most: int = Field(ge=1)

    def steps(self) -> Iterator[int]:
        """Yields the values to try: `least`, then each time twice the previous value, up to `most`."""
        value = self.least
        while value <= self.most:
            yield value
            value *= 2


class Case(BaseModel):
    """A combination of workload, engine, profile, device, data set, fraction, seeds, threads and parameters."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    version: int
    pattern: str
    task: Task | None = Field(description="null if it is not known, as in some measurements of others")
    engine: str
    placement: Placement
    cluster: str
    cluster_kind: str
    device: Device
    dataset: str
    dataset_id: str
    rows: int = Field(ge=0, description="training rows in this fraction")
    fraction: float = Field(gt=0, le=1)
    sample_seed: int = Field(description="in measurements of others, it is the round, because no seed is known")
    model_seed: int = Field(description="in measurements of others, it is the round, because no seed is known")
    threads: int | None = Field(
        ge=1, description="threads of the process (node) or of each task (spark); null in measurements of others"
    )
    params: dict[str, Any] = Field(
        description="`set`, the workload's parameters, and `arguments`: what the library was called with"
    )

    @property
    def id(self) -> str:
        """The case's identity: equal cases have equal ids, on every machine."""
        return digest(self.model_dump(mode="json"))

    @property
    def experiment(self) -> str:
        """An id that is equal for cases that differ only in their seeds, and in values that follow from the seeds.

        These values are the number of rows in the sample, and arguments that depend on this number.
        """
        params = self.params_without("arguments")
        fields = self.model_dump(mode="json", exclude={"sample_seed", "model_seed", "rows", "params"})
        return digest([fields, params])

    @property
    def is_published(self) -> bool:
        """True if others measured the case, and sparkscale imported the result."""
        return self.cluster_kind == PUBLISHED

    @property
    def known_threads(self) -> int:
        """The threads of a case that sparkscale measures. Raises ValueError if others measured the case."""
        if self.threads is None:
            raise ValueError(f"The threads of {self.label} are not known.")
        return self.threads

    @property
    def seeds(self) -> tuple[int, int]:
        """The seed of the sample and the seed of the model."""
        return self.sample_seed, self.model_seed

    @property
    def parameter_set(self) -> str:
        return str(self.params["set"])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments with which the engine calls its library, by name."""
        return dict(self.params["arguments"])

    @property
    def stated(self) -> dict[str, Any]:
        """The parameters that are the same for all engines.

        The name of the parameter set, the range for `tuned`, and the library's own arguments are left out.
        """
        return self.params_without("set", "capacity", "arguments")

    def params_without(self, *names: str) -> dict[str, Any]:
        """Returns the parameters, except the parameters with these names."""
        return {name: value for name, value in self.params.items() if name not in names}

    def subject_key(self, *fields: str, without: Iterable[str] = ("arguments",)) -> str:
        """Returns a key that is equal for cases with the same subject.

        Such cases have the same workload, data set, cluster, device and parameters. `fields` names further fields
        that must be equal. `without` names the parameters that may differ.
        """
        params = self.params_without(*without)
        shared = [getattr(self, name) for name in ("workload", "dataset_id", "cluster", "device", *fields)]
        return json.dumps([shared, params], sort_keys=True)

    @property
    def label(self) -> str:
        """A readable name of the case, such as "data_parallel.gradient_boosting xgboost flights 1/4"."""
        return f"{self.subject} {show_fraction(self.fraction)}"

    @property
    def subject(self) -> str:
        """A readable name of the case without its fraction."""
        kind = "" if self.parameter_set == "aligned" else f" ({self.parameter_set})"
        return f"{self.workload} {self.engine}{kind} {self.dataset}"
