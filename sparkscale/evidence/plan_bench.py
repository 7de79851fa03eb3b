"""Tests the model of the run time on published runs that it did not see, beside two simpler forecasts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import nnls

from sparkscale.analysis.questions.runtime_model import Prediction, Run, fit
from sparkscale.analysis.statistics import Array
from sparkscale.contract.errors import ConfigError
from sparkscale.evidence.public_runtimes import DataSet, Job

NODES = 12.0
"""The largest scale-out of C3O. It is predicted from smaller ones."""

Held = Callable[[Job, Run], bool | None]
"""Says whether a run is predicted (true), is used to fit (false), or is neither (None)."""


@dataclass(frozen=True)
class Protocol:
    """What is predicted from what.

    `bars` has the mean relative errors to beat for some data sets: the first one, and a second if there are two.
    """

    name: str
    held: Held
    bars: dict[str, tuple[float, ...]] = field(default_factory=dict, hash=False)
    fewest_sizes: int = 1


@dataclass(frozen=True)
class Outcome:
    """The results of one protocol on one data set.

    `errors`, `ernest` and `last_value` are signed and relative, of shape (predictions,). `covered` has an entry for
    each run whose interval was checked. `refused` counts the predictions that were refused, by their reason.
    """

    data_set: str
    protocol: str
    errors: Array
    ernest: Array
    last_value: Array
    covered: Array
    refused: Counter[str]
    bars: tuple[float, ...]


def protocols() -> tuple[Protocol, ...]:
    """Returns the protocols for data sets with sizes."""
    return (
        Protocol("12 nodes", _nodes, {"sort": (0.09,), "grep": (0.05,), "kmeans": (0.07,)}),
        Protocol(
            "largest size",
            _size,
            {"sort": (0.08, 0.026), "grep": (0.10, 0.025), "kmeans": (0.18, 0.053)},
            3,
        ),
        Protocol("largest size on 12 nodes", _both, {"sort": (0.035,), "grep": (0.079,), "kmeans": (0.022,)}, 3),
        Protocol("larger, from 3 × 3", _few, {}, 5),
    )


def outcomes(data_set: DataSet) -> Iterator[Outcome]:
    """Yields the results of each protocol that fits to the data set."""
    if not data_set.has_sizes:
        yield _outcome(data_set, Protocol("next scale-out", _size), _next_scale_outs(data_set.jobs[0]))
        return
    for protocol in protocols():
        yield _outcome(data_set, protocol, _splits(data_set, protocol))


Split = tuple[list[Run], list[Run]]
"""The runs to fit, and the runs to predict."""


def _splits(data_set: DataSet, protocol: Protocol) -> Iterator[Split]:
    for job in data_set.jobs:
        if len({run.size for run in job.runs}) >= protocol.fewest_sizes:
            held = [(protocol.held(job, run), run) for run in job.runs]
            yield [run for is_held, run in held if is_held is False], [run for is_held, run in held if is_held]


def _next_scale_outs(job: Job) -> Iterator[Split]:
    """Yields each scale-out with all smaller ones, from the fourth scale-out on."""
    for scale_out in sorted({run.scale_out for run in job.runs})[3:]:
        smaller = [run for run in job.runs if run.scale_out < scale_out]
        yield smaller, [run for run in job.runs if run.scale_out == scale_out]


def _nodes(_: Job, run: Run) -> bool:
    return run.scale_out == NODES


def _size(job: Job, run: Run) -> bool:
    return run.size == max(each.size for each in job.runs)


def _both(job: Job, run: Run) -> bool | None:
    """Neither the largest size nor 12 nodes are used to fit."""
    is_large, is_wide = _size(job, run), _nodes(job, run)
    return is_large if is_large == is_wide else None


def _few(job: Job, run: Run) -> bool | None:
    """The three smallest sizes and scale-outs are used to fit."""
    is_large = run.size > sorted({each.size for each in job.runs})[2]
    is_wide = run.scale_out > sorted({each.scale_out for each in job.runs})[2]
    return is_large if is_large == is_wide else None


def _outcome(data_set: DataSet, protocol: Protocol, splits: Iterator[Split]) -> Outcome:
    errors: list[list[float]] = []
    covered: list[bool] = []
    refused: Counter[str] = Counter()
    for runs, ahead in splits:
        grouped = defaultdict(list)
        for run in ahead:
            grouped[run.size, run.scale_out].append(run.seconds)
        predicted = _predicted(runs, list(grouped))
        for (size, scale_out), prediction in predicted.items():
            seconds = grouped[size, scale_out]
            if prediction.seconds is None or prediction.interval is None:
                refused[prediction.why_none.partition(":")[0].partition(" (")[0]] += 1
                continue
            low, high = prediction.interval.low, prediction.interval.high
            covered.extend(low <= each <= high for each in seconds)
            forecasts = (prediction.seconds, ernest(runs, size, scale_out), last_value(runs, size, scale_out))
            errors.append([each / float(np.median(seconds)) - 1 for each in forecasts])
    ours, by_ernest, by_last = np.array(errors).reshape(-1, 3).T
    checked = np.array(covered, dtype=bool)
    bars = protocol.bars.get(data_set.name, ())
    return Outcome(data_set.name, protocol.name, ours, by_ernest, by_last, checked, refused, bars)


def _predicted(runs: Sequence[Run], places: Sequence[tuple[float, float]]) -> dict[tuple[float, float], Prediction]:
    """Returns the prediction for each size and scale-out."""
    try:
        model = fit(runs)
    except ConfigError as error:
        return {place: Prediction(*place, why_none=str(error)) for place in places}
    return {place: model.predict(*place) for place in places}


def ernest(runs: Sequence[Run], size: float, scale_out: float) -> float:
    """Returns the forecast of plain Ernest: four terms, absolute residuals, and all runs.

    Source: Venkataraman et al.: Ernest: Efficient performance prediction for large-scale advanced analytics,
    NSDI 2016.
    """
    sizes, scale_outs, seconds = np.array([(run.size, run.scale_out, run.seconds) for run in runs]).T

    def terms(of: Array, on: Array) -> Array:
        return np.stack([np.ones(len(of)), of / on, np.log(on), on], axis=1)

    design = terms(sizes, scale_outs)
    scales = np.linalg.norm(design, axis=0)
    scales[scales == 0] = 1.0
    solved, _ = nnls(design / scales, seconds)
    return float((terms(np.array([size]), np.array([scale_out])) / scales @ solved)[0])


def last_value(runs: Sequence[Run], size: float, scale_out: float) -> float:
    """Returns the median seconds of the largest size on the most nodes, scaled by the size per node."""
    last = max((run.size, run.scale_out) for run in runs)
    seconds = float(np.median([run.seconds for run in runs if (run.size, run.scale_out) == last]))
    return seconds * (size / scale_out) / (last[0] / last[1])
