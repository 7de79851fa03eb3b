"""A target: the validation loss that searches on one sample must reach."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sparkscale.contract.case import Case, parse_fraction, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.record import RunRecord

SUITE = "tuning-target"
"""The suite with the long searches that find targets."""
MARGIN = 0.01
"""A target is the best loss of a long search, plus this share of that loss."""
DIGITS = 4
"""Significant digits of a target."""


def _fraction(value: Any) -> float:
    try:
        return parse_fraction(value) if isinstance(value, str) else parse_fraction(show_fraction(float(value)))
    except (TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{value} is no fraction") from error


def metric(declared: WorkloadDescription, case: Case) -> str | None:
    """Returns the name of the quality that judges the case's trials.

    Returns None if the workload does not have the case's learning task, or if the engine does not compute losses
    on the validation part.
    """
    judged = declared.judged.get(case.task) if case.task else None
    return judged.quality if judged and declared.has(case.engine, "judges_on_split") else None


def targets_found(records: "Iterable[RunRecord]") -> "list[Target]":
    """Returns a target for each workload, sample and metric: the lowest that the searches found.

    The targets are in the order of the records.
    """
    best: dict[Any, Target] = {}
    for record in records:
        judged_by = metric(record.declared, record.case)
        target = Target.found_by(record, judged_by) if judged_by else None
        if target and (target.of not in best or target.loss < best[target.of].loss):
            best[target.of] = target
    return list(best.values())


class Target(BaseModel):
    """The target of one sample of one data set. It says nothing about other rows or other kinds of loss."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    version: int
    """The workload's version. Other versions search or judge in another way."""
    dataset_id: str
    fraction: Annotated[float, BeforeValidator(_fraction)] = Field(gt=0, le=1)
    seed: int = Field(default=0, ge=0)
    """The seed of the sample."""
    metric: str
    """The quality that the loss measures, such as "log_loss"."""
    loss: float = Field(gt=0)

    @classmethod
    def found_by(cls, record: RunRecord, metric: str) -> "Target | None":
        """Returns the target from a search's record. None if the record is a warm-up, not ok, or has no loss."""
        loss = record.figures.get("best_loss")
        if record.outcome != "ok" or record.is_warmup or not loss:
            return None
        case = record.case
        return cls(
            workload=case.workload,
            version=case.version,
            dataset_id=case.dataset_id,
            fraction=case.fraction,
            seed=case.sample_seed,
            metric=metric,
            loss=float(f"{loss * (1 + MARGIN):.{DIGITS}g}"),
        )

    def suits(self, case: Case, metric: str | None) -> bool:
        """Returns true if the target applies to this case, and its loss is measured by `metric`."""
        return self.of == (case.workload, case.version, case.dataset_id, case.fraction, case.sample_seed, metric)

    @property
    def of(self) -> tuple[Any, ...]:
        """Everything for which the target holds: the workload with its version, the sample and the metric."""
        return self.workload, self.version, self.dataset_id, self.fraction, self.seed, self.metric

    @property
    def toml(self) -> str:
        """The target in the TOML of a suite."""
        return (
            f'[[target]]\nworkload = "{self.workload}"\nversion = {self.version}\ndataset_id = "{self.dataset_id}"\n'
            f'fraction = "{show_fraction(self.fraction)}"\nseed = {self.seed}\nmetric = "{self.metric}"\n'
            f"loss = {self.loss:g}"
        )
