"""Describes the size of a hold-out in rows, units and classes, and warns if the hold-out is too small."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sparkscale.contract.units import FEWEST_OF_A_CLASS, FEWEST_UNITS, kish
from workloads.datasets.table_target import Target
from workloads.datasets.table_time import Times, heaviest, in_words
from workloads.datasets.training_slices import Array

FEW_UNITS = 20
"""With fewer effective units than this, confidence intervals are corrected for the small number, which makes them
wide."""
PLURALS = {"group": "groups", "stretch of time": "stretches of time", "bundle of rows": "bundles of rows"}


@dataclass(frozen=True)
class Holdout:
    """A hold-out that has been written.

    `unit_rows` holds the number of rows of each unit that is not empty. `positive` is the number of rows of class
    1. It has no meaning for a regression.
    """

    target: Target
    rows: int
    positive: int
    unit_rows: Array
    times: Times
    """The times of the hold-out's rows. Empty if the rule is not `time`."""

    @property
    def effective_units(self) -> float:
        """Returns the number of equally large units that would give confidence intervals of the same width."""
        return kish(self.unit_rows.tolist())

    @property
    def classes(self) -> dict[str, int]:
        """Returns the number of hold-out rows of each class; empty for a regression."""
        if self.target.task != "classification":
            return {}
        negative, positive = (str(value) for value in self.target.classes)
        return {negative: self.rows - self.positive, positive: self.positive}

    def facts(self) -> dict[str, Any]:
        """Returns the part of the table's description that is about the hold-out."""
        return {
            "rule": self.target.rule,
            "rows": self.rows,
            "units": len(self.unit_rows),
            "effective_units": self.effective_units,
            "class_rows": self.classes,
        }

    def warnings(self) -> Iterator[str]:
        """Yields a sentence if the hold-out has too few units, and one for each class with too few rows."""
        effective = self.effective_units
        if effective < FEW_UNITS:
            result = (
                "the quality gets no interval, so no difference in quality is resolved"
                if effective < FEWEST_UNITS
                else "intervals of the quality are corrected for this small number, and are wide"
            )
            yield f"{self._units()}: {result}.{self._one_time()}"
        for name, rows in self.classes.items():
            if rows < FEWEST_OF_A_CLASS:
                yield (
                    f"Only {rows:,} of {self.rows:,} held-out rows {'is' if rows == 1 else 'are'} of the class "
                    f"'{name}': a quality from so few rows of a class is very uncertain."
                )

    def _units(self) -> str:
        count, effective = len(self.unit_rows), self.effective_units
        name = self.target.unit_name
        sentence = f"The hold-out has {count} {name if count == 1 else PLURALS[name]}"
        uneven = f", which are worth {effective:.1f} of equal size" if effective < 0.95 * count else ""
        return sentence + uneven

    def _one_time(self) -> str:
        if self.target.rule != "time":
            return ""
        moment, share = heaviest(self.times)
        return f" One time, {in_words(moment)}, has {share:.0%} of its rows." if share >= 1 / FEW_UNITS else ""
