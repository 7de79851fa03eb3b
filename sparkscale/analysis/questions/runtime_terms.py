"""The terms of a job's run time, and their fit. `runtime_model` decides what is fitted, and predicts.

For a size s (rows, or units of data) and a scale-out m (nodes or cores), the model is

    seconds = θ0 + θ1·s/m + θ2·log m + θ3·m + θ4·s + θ5/m,  all θ ≥ 0

The first four terms are those of Ernest (Venkataraman et al.: Ernest: Efficient performance prediction for
large-scale advanced analytics, NSDI 2016): a fixed cost, parallel work, a tree of messages, and a message to each
node. θ4 is work that does not become faster with more nodes. θ5 is work that does, but does not depend on the size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from sparkscale.analysis.statistics import Array

TERMS = ("1", "s/m", "log m", "m", "s", "1/m")
"""The terms of the model. If two cannot be told apart, the earlier one is kept (but see `_order`)."""
LEAST_SECONDS = 1e-9
"""A fit whose only term is log m gives no time at a scale-out of 1. This number replaces it."""
SAME = 1e-6
"""Columns are collinear if the smallest singular value of the scaled design is below this."""


@dataclass(frozen=True)
class Configuration:
    """The runs at one size and one scale-out. `seconds` holds one number per run, and ascends."""

    size: float
    scale_out: float
    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Returns the median of the seconds."""
        return float(np.median(self.seconds))


def fitted(configurations: Sequence[Configuration]) -> tuple[dict[str, float], dict[str, str]]:
    """Returns the θ of each kept term, and the reason for each term that is left out."""
    sizes, scale_outs, _ = coordinates(configurations)
    seconds = np.array([each.median for each in configurations])
    relative = {term: values / seconds for term, values in columns(sizes, scale_outs).items()}
    scales = {term: float(np.linalg.norm(values)) or 1.0 for term, values in relative.items()}
    kept: list[str] = []
    left_out: dict[str, str] = {}
    for term in _order(sizes, scale_outs):
        design = np.stack([relative[each] / scales[each] for each in [*kept, term]], axis=1)
        if np.linalg.matrix_rank(design, tol=SAME) > len(kept):
            kept.append(term)
        else:
            left_out[term] = _why_left_out(term, kept, sizes, scale_outs)
    design = np.stack([relative[term] / scales[term] for term in kept], axis=1)
    solved, _ = nnls(design, np.ones(len(seconds)))
    return {term: float(theta) / scales[term] for term, theta in zip(kept, solved, strict=True)}, left_out


def columns(sizes: Array, scale_outs: Array) -> dict[str, Array]:
    """Returns the values of each term, of shape (configurations,)."""
    logs: Array = np.log(scale_outs)
    values = (np.ones(len(sizes)), sizes / scale_outs, logs, scale_outs, sizes, 1 / scale_outs)
    return dict(zip(TERMS, values, strict=True))


def coordinates(configurations: Sequence[Configuration]) -> tuple[Array, Array, Array]:
    """Returns the sizes, the scale-outs and the sizes per node, each of shape (configurations,)."""
    sizes = np.array([each.size for each in configurations], dtype=float)
    scale_outs = np.array([each.scale_out for each in configurations], dtype=float)
    return sizes, scale_outs, sizes / scale_outs


def predicted_seconds(coefficients: dict[str, float], size: float, scale_out: float) -> float:
    """Returns the seconds for one size and scale-out. `coefficients` maps terms to their θ."""
    values = columns(np.array([size]), np.array([scale_out]))
    return max(sum(theta * float(values[term][0]) for term, theta in coefficients.items()), LEAST_SECONDS)


def _order(sizes: Array, scale_outs: Array) -> tuple[str, ...]:
    """Returns the terms in the order in which they are tried. Terms in a number that did not vary come last."""
    if np.ptp(sizes) == 0:
        return "1", "1/m", "log m", "m", "s/m", "s"
    if np.ptp(scale_outs) == 0:
        return "1", "s", "s/m", "log m", "m", "1/m"
    return TERMS


def _why_left_out(term: str, kept: Sequence[str], sizes: Array, scale_outs: Array) -> str:
    if "s" in term and np.ptp(sizes) == 0:
        return "only one size was measured"
    if "m" in term and np.ptp(scale_outs) == 0:
        return "only one scale-out was measured"
    return f"the measured configurations cannot tell it apart from {', '.join(kept)}"
