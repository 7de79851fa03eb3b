"""Draws parallel tuning: how soon each way of searching finds what, and what a trial costs."""

import math
from collections.abc import Callable, Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis import circumstances
from sparkscale.analysis.drawing import NOTHING, seconds, spread, table
from sparkscale.analysis.patterns.tuning import comparison as tuning
from sparkscale.analysis.patterns.tuning.comparison import SHARES, Comparison
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import RunRecord
from sparkscale.contract.target import MARGIN, targets_found
from sparkscale.contract.wording import count

MIB = 2**20


def comparison(found: Comparison, is_for_targets: bool = False) -> Iterator[RenderableType]:
    """What is said of one workload's searches; without advice where they are to find a target."""
    case = found.case
    yield Text(
        f"{case.workload} on {case.dataset}, {show_fraction(case.fraction)} of the rows, cluster {case.cluster}, "
        f"{case.device}: {found.searches[0].declared.summary}",
        style="bold",
    )
    yield Text(_space(case.params), style="dim")
    yield _searches(found)
    yield _courses(found)
    yield _winners(found)
    records = [record for search in found.searches for record in search.records]
    yield from (Text(warning, style="bold") for warning in quality_warnings(records))
    yield _trials(found)
    if found.failures:
        yield _failures(found)
    if not is_for_targets:
        yield Text(tuning.advice(found), style="bold")
    yield from _footnotes(found)


def targets(records: Iterable[RunRecord]) -> Iterator[Text]:
    """The target losses that searches found, and how they come to be used."""
    found = targets_found(records)
    if not found:
        yield Text("No search found a target.", style="bold")
        return
    yield Text(
        f"Target losses found: the best validation loss and {MARGIN:.0%} more. Runs of the suite `tuning` into the "
        "same --out use the best that was found on the same data with the same seed, unless the suite states one. A "
        "suite of your own may state them:",
        style="bold",
    )
    yield Text("\n\n".join(target.toml for target in found))


def _space(params: dict[str, object]) -> str:
    space = params["space"]
    assert isinstance(space, dict)
    parts = []
    for name, dimension in space.items():
        if "choices" in dimension:
            parts.append(f"{name} of {', '.join(map(str, dimension['choices']))}")
            continue
        kind = " in whole numbers" if dimension["whole"] else ""
        step = f" in steps of {dimension['step']:g}" if dimension["step"] else ""
        scale = ", log" if dimension["scale"] == "log" else ""
        parts.append(f"{name} {dimension['low']:g} to {dimension['high']:g}{kind}{step}{scale}")
    target = params["target_loss"]
    told = "no target loss" if target is None else f"target loss {target:.4g}"
    return f"{'; '.join(parts)}; {told}"


def ranged(found: Spread | None, number: Callable[[float], str]) -> str:
    """Median and range, or the one figure that all searches share."""
    if found and number(found.low) == number(found.high):
        return number(found.median)
    return spread(found, number)


def loss(found: Spread | None) -> str:
    """A search that knows nothing yet has none."""
    return ranged(found, lambda value: "none" if math.isinf(value) else f"{value:.4f}")


def winners(found: Spread | None) -> str:
    """A quality of the winners, and of how many searches there was one if some had none."""
    some = found is not None and found.count < found.executions
    return f"{loss(found)} [{found.count} of {found.executions}]" if found and some else loss(found)


def censored(found: Spread | None) -> str:
    """Seconds, of searches that may never have come there."""
    return ranged(found, lambda value: "never" if math.isinf(value) else f"{value:.1f}")


def _searches(found: Comparison) -> Table:
    target = found.target
    columns = [] if target is None else [f"seconds to {target:.4g}", "reached by"]
    drawn = table("The searches: median (range)", "engine", "trials", "search, s", *columns)
    for search in found.searches:
        trials = search.figure("trials")
        told = [f"{trials.median:.0f}" if trials else NOTHING, seconds(search.figure("search_seconds"))]
        if target is not None:
            reached = [censored(search.to_target(target)), f"{search.reached(target)} of {len(search.attempts)}"]
            told += reached if search.is_comparable else [NOTHING, NOTHING]
        drawn.add_row(search.label, *told)
    return drawn


def _courses(found: Comparison) -> Table:
    drawn = table(
        "Best validation loss, load included: median (range)",
        "engine",
        *(f"at {moment:.1f} s" for moment in found.moments),
    )
    for search in found.searches:
        if search.is_comparable:
            drawn.add_row(search.label, *(loss(search.best_at(moment)) for moment in found.moments))
    return drawn


def _trials(found: Comparison) -> Table:
    drawn = table(
        "Trials",
        "engine",
        "trials/s",
        "most at once",
        "a trial, s",
        "dispatch, s",
        "shipped, MiB",
    )
    for search in found.searches:
        shipped = search.figure("bytes_shipped")
        drawn.add_row(
            search.label,
            spread(search.figure("trials_per_second"), "{:.2f}".format),
            ranged(search.figure("concurrency"), "{:.0f}".format),
            seconds(search.figure("trial_seconds_median")),
            ranged(search.figure("dispatch_seconds_median"), "{:.3f}".format),
            f"{shipped.median / MIB:,.1f}" if shipped else NOTHING,
        )
    return drawn


def _winners(found: Comparison) -> Table:
    names = {
        quality.name: quality.heading
        for quality in found.searches[0].declared.qualities
        if quality.metric  # the skill only tells whether a constant is as good
    }
    observed = [name for name in names if any(search.quality(name) for search in found.searches)]
    drawn = table(
        "Best validation loss against trials, and the winner on the hold-out",
        "engine",
        *(f"after {share:.0%}" for share in SHARES),
        *(f"hold-out {names[name]}" for name in observed),
    )
    for search in found.searches:
        losses = (loss(search.best_after(share)) if search.is_comparable else NOTHING for share in SHARES)
        drawn.add_row(search.label, *losses, *(winners(search.quality(name)) for name in observed))
    return drawn


def _failures(found: Comparison) -> Table:
    drawn = table("Trials without a loss", "engine", "outcome", "trials", "first of them", left=2, prose="reason")
    for failures in found.failures:
        drawn.add_row(failures.label, failures.outcome, f"{failures.trials}", failures.parameters, failures.error)
    return drawn


def _footnotes(found: Comparison) -> Iterator[Text]:
    most = max((len(search.attempts) for search in found.searches), default=0)
    yield Text(
        f"At most {count(most, 'execution')} of each engine, with different sampler seeds or in different rounds. "
        "Losses are of the validation part, which is cut from the training rows; the hold-out is seen once, "
        "by the winner, refitted on all training rows.",
        style="dim",
    )
    records = [record for search in found.searches for record in search.records]
    yield from (Text(note, style="dim") for note in circumstances.notes(found.case, records))
    engines = [search.engine for search in found.searches]
    yield from (Text(note, style="dim") for note in circumstances.differences(found.searches[0].declared, engines))
