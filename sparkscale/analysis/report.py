"""Draws what a run measured as tables for a terminal; here the trade-off between sample and full data."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis import circumstances as placing
from sparkscale.analysis import crossed, drawing, memory
from sparkscale.analysis import data_sets as show_data
from sparkscale.analysis import goals as ratios
from sparkscale.analysis import heap_report as show_heap
from sparkscale.analysis.drawing import NOTHING
from sparkscale.analysis.judging import Judging
from sparkscale.analysis.patterns.data_parallel import comparison as tradeoff
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import Comparison, EngineCurve
from sparkscale.analysis.patterns.inference import comparison as inference
from sparkscale.analysis.patterns.inference import report as show_inference
from sparkscale.analysis.patterns.per_group import comparison as per_group
from sparkscale.analysis.patterns.per_group import report as show_groups
from sparkscale.analysis.patterns.tuning import comparison as tuning
from sparkscale.analysis.patterns.tuning import report as show_tuning
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.statistics import LEVEL, Interval, Spread
from sparkscale.contract import target
from sparkscale.contract.case import show_fraction
from sparkscale.contract.record import RunRecord
from sparkscale.contract.units import FEWEST_UNITS
from sparkscale.contract.wording import count
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

FIRST_RUN = (
    "First run is what a one-off job pays: from the start of a new worker, Spark's session included, to its model, "
    "with nothing warmed up."
)


def show(store: Store, invocation: Invocation) -> RenderableType:
    """Everything `sparkscale show` prints of one invocation."""
    records = store.records(invocation.id)
    parts: list[RenderableType] = [_heading(store, invocation, records), *show_data.data_sets(store, records)]
    if invocation.command == "heap":
        return Group(*parts, Text(), *show_heap.search(records))
    is_for_targets = invocation.suite == target.SUITE
    for comparison in tradeoff.comparisons(store, records):
        parts += [Text(), *_comparison(comparison)]
    for groups in per_group.comparisons(store, records):
        parts += [Text(), *show_groups.comparison(groups)]
    for searches in tuning.comparisons(store, records):
        parts += [Text(), *show_tuning.comparison(searches, is_for_targets)]
    if is_for_targets:
        parts += [Text(), *show_tuning.targets(records)]
    for ways in inference.comparisons(records):
        parts += [Text(), *show_inference.comparison(ways)]
    parts += _ratios(invocation.suite, records)
    parts += [Text(), *_problems(records), *_missing(invocation, records)]
    return Group(*parts)


def breakdown(wall_seconds: float, spent: Iterable[tuple[str, float]]) -> Text:
    """Where a run's wall time went, on one line. `spent` holds activities and their seconds."""
    shares = {name: seconds / wall_seconds for name, seconds in spent}
    shares["else"] = 1 - sum(shares.values())
    names = {
        "phases": "inside phases",
        "starting": "starting workers, JVMs and sessions",
        "preparing": "preparing data",
        "else": "everything else",
    }
    parts = ", ".join(f"{shares[key]:.1%} {name}" for key, name in names.items())
    return Text(f"Wall time {wall_seconds:.0f} s: {parts}.")


def _heading(store: Store, invocation: Invocation, records: list[RunRecord]) -> Text:
    text = Text(f"suite {invocation.suite}, run {invocation.id}, {invocation.started_at:%Y-%m-%d %H:%M} UTC")
    for identity in dict.fromkeys(record.host for record in records):
        host = store.description(identity).content
        text.append(
            f"\non {host['cpu']}, {placing.cores(host)}, {host['memory_bytes'] / 2**30:.0f} GiB, {host['os']}"
        )
        for name, number in Counter(device["name"] for device in host.get("gpus", [])).items():
            text.append(f", {number} × {name}")
    return text


def _comparison(comparison: Comparison) -> Iterator[RenderableType]:
    case = comparison.case
    yield Text(
        f"{case.workload} on {case.dataset}, cluster {case.cluster}, {case.device}: {comparison.declared.summary}",
        style="bold",
    )
    parameters = ", ".join(f"{name} {value}" for name, value in comparison.parameters.items())
    yield Text(parameters or "each library's own defaults", style="dim")
    if comparison.tuned:
        chosen = comparison.tuned
        yield Text(
            f"Tuned: {chosen.param} from {chosen.least} to {chosen.most}, chosen for each engine and fraction on a "
            "fifth of the training units; the search is time of fit."
        )
    yield _curves(comparison)
    yield from (Text(warning, style="bold") for warning in quality_warnings(comparison.records))
    yield from _ceiling(comparison)
    yield from _beside(comparison)
    if any(cell.case.fraction < 1 for cell in comparison.cells):
        yield _answers(comparison)
    if comparison.defaults:
        yield _defaults(comparison)
    yield from _footnotes(comparison)


def _curves(comparison: Comparison) -> Table:
    table = drawing.table(
        "What each engine costs and reaches",
        "engine",
        "fraction",
        "rows",
        "time to model, s\nmedian (range)",
        *(["first run, s\ncold, with start"] if comparison.has_first_runs else []),
        f"{comparison.judging.name} on the hold-out\n[{LEVEL:.0%} interval]",
        *([comparison.tuned.param] if comparison.tuned else []),
        *([] if comparison.ceiling is None else [f"below the ceiling\n[{LEVEL:.0%} interval]"]),
        *([memory.HEADING] if comparison.has_memory else []),
        left=2,
    )
    for curve in comparison.curves:
        for position, cell in enumerate(curve.cells):
            table.add_row(
                curve.engine if position == 0 else "",
                show_fraction(cell.case.fraction),
                f"{cell.rows:,}",
                *_measured(cell, comparison),
                end_section=position == len(curve.cells) - 1,
            )
    return table


def _measured(cell: Cell, comparison: Comparison) -> Iterator[str]:
    yield drawing.seconds(cell.seconds)
    if comparison.has_first_runs:
        yield drawing.seconds(cell.first_run)
    mark = " !" if cell.doubt else ""
    yield f"{_quality(cell)} {_interval(cell.quality.interval, cell.judging.show)}{mark}" if cell.quality else NOTHING
    if comparison.tuned:
        yield drawing.spread(cell.capacity, "{:.0f}".format)
    if comparison.ceiling is not None:
        yield _given_up(cell.below_ceiling, cell.judging) if cell.below_ceiling else NOTHING
    if comparison.has_memory:
        yield memory.shown(cell.records)


def _quality(cell: Cell) -> str:
    return cell.judging.show(cell.quality.value) if cell.quality else NOTHING


def _given_up(step: Step, judging: Judging) -> str:
    return f"{judging.show_given_up(step.estimate.value)} {_interval(step.interval, judging.show_given_up)}"


def _ceiling(comparison: Comparison) -> Iterator[Text]:
    """What no model can beat, and whether one does."""
    if comparison.ceiling is None:
        return
    judging = comparison.judging
    yield Text(
        f"Ceiling on this hold-out: {judging.name} {judging.show(comparison.ceiling)}, which {judging.truth} reach. "
        "A model can pass it by chance only."
    )
    for cell in comparison.cells:
        if cell.below_ceiling and cell.below_ceiling.interval and cell.below_ceiling.interval.high < 0:
            yield Text(f"{cell.case.label} passes the ceiling by more than noise: suspect a leak.", style="bold")


def _beside(comparison: Comparison) -> Iterator[Table]:
    """Further qualities and figures of the workload, where some were observed."""
    named = comparison.declared.headings
    shown = {key: heading for key, heading in named.items() if any(cell.observed(key) for cell in comparison.cells)}
    if not shown:
        return
    table = drawing.table(
        f"Beside it: median (range), {NOTHING} where there is none", "engine", "fraction", *shown.values(), left=2
    )
    for curve in comparison.curves:
        for position, cell in enumerate(curve.cells):
            table.add_row(
                curve.engine if position == 0 else "",
                show_fraction(cell.case.fraction),
                *(_observed(cell.observed(key)) for key in shown),
                end_section=position == len(curve.cells) - 1,
            )
    yield table


def _observed(spread: Spread | None) -> str:
    """Where rounds repeat seeds, what does not depend on the clock is the same in all."""
    number = "{:.4g}".format
    return number(spread.median) if spread and spread.low == spread.high else drawing.spread(spread, number)


def _answers(comparison: Comparison) -> Table:
    has_memory = any(memory.needed(cell.records) for cell in comparison.cells if cell.case.fraction < 1)
    table = drawing.table(
        f"Is a sample enough? Smallest fraction with {comparison.judging.within} of the engine's own on all data"
        + (f"\nfor models with {comparison.size}" if comparison.size else ""),
        "engine",
        "smallest fraction",
        f"{comparison.judging.name} given up\n[{LEVEL:.0%} interval]",
        "draws in which\nit is enough",
        "time to model\nof all data's",
        *(["memory of\nall data's"] if has_memory else []),
        left=2,
    )
    table.columns[1].no_wrap = False  # the answer is a sentence: it wraps, so that no number does
    for column in table.columns[2:]:
        column.no_wrap = True
    for curve in comparison.curves:
        answer = curve.answer
        step = answer.step
        if step is None:
            table.add_row(curve.engine, answer.text, *[NOTHING] * (len(table.columns) - 2))
            continue
        given_up = _given_up(step, comparison.judging).replace(" [", "\n[")
        table.add_row(
            curve.engine,
            answer.text,
            given_up if answer.is_enough else f"at {show_fraction(step.fraction)}: {given_up}",
            NOTHING if step.interval is None else f"{step.share:.0%}",
            drawing.share(curve.share_of_full_seconds(step.fraction)) if answer.is_enough else NOTHING,
            *([_memory_share(curve, step.fraction) if answer.is_enough else NOTHING] if has_memory else []),
        )
    return table


def _memory_share(curve: EngineCurve, fraction: float) -> str:
    part = curve.cell(fraction)
    return NOTHING if part is None or curve.full is None else memory.share(part.records, curve.full.records)


def _defaults(comparison: Comparison) -> Table:
    table = drawing.table(
        "What a port that trusts each library's defaults gets, on all data",
        "engine",
        f"{comparison.judging.name}\naligned",
        f"{comparison.judging.name}\ndefaults",
        f"{comparison.judging.second}\naligned",
        f"{comparison.judging.second}\ndefaults",
        "time, s\naligned",
        "time, s\ndefaults",
        prose="defaults that differ",
    )
    for curve in comparison.curves:
        cell = comparison.defaults.get(curve.engine)
        if cell is None or curve.full is None:
            continue
        aligned, default = curve.full.case.arguments, cell.case.arguments
        differing = ", ".join(f"{k}={v}" for k, v in default.items() if aligned.get(k) != v) or "none"
        table.add_row(
            curve.engine,
            *(_quality(found) for found in (curve.full, cell)),
            *(f"{found.second.median:.4f}" if found.second else NOTHING for found in (curve.full, cell)),
            *(drawing.seconds(found.seconds) for found in (curve.full, cell)),
            differing,
        )
    return table


def _footnotes(comparison: Comparison) -> Iterator[Text]:
    case = comparison.case
    rounds = max((cell.seconds.count for c in comparison.curves for cell in c.cells if cell.seconds), default=0)
    times = "1 round, so without a range," if rounds == 1 else f"{rounds} rounds, each"
    kind = f"{times} in a fresh worker and JVM, after warm-ups in it"
    if rounds == 0:
        kind = "there is none, for every execution was the first of its worker"
    yield Text(f"Time to model is {' + '.join(comparison.declared.time_to_model)}: {kind}.", style="dim")
    yield from (Text(note, style="dim") for note in placing.notes(case, comparison.records))
    yield Text(_interval_note(comparison), style="dim")
    if comparison.has_first_runs:
        yield Text(FIRST_RUN, style="dim")
    if comparison.has_memory:
        yield Text(memory.NOTE, style="dim")
    engines = [curve.engine for curve in comparison.curves]
    yield from (Text(note, style="dim") for note in placing.differences(comparison.declared, engines))


def _interval_note(comparison: Comparison) -> str:
    """What an interval covers, and why there is none."""
    estimates = [cell.quality for cell in comparison.cells if cell.quality]
    if not estimates:
        return ""
    name, seeds = comparison.judging.name, max(estimate.seeds for estimate in estimates)
    shown = next((estimate for estimate in estimates if estimate.interval), None)
    if shown is None:
        least = f" ({FEWEST_UNITS} effective units are the least)" if "unit" in estimates[0].why_none else ""
        return f"{name} has no interval: {estimates[0].why_none} in the hold-out{least}."
    held = f"{count(shown.units, 'unit')} of the hold-out ({shown.effective_units:.0f} effective)"
    drawn = f"and {count(seeds, 'draw')} of sample and model"
    if seeds < crossed.FEWEST_SEEDS:
        rounds = len({record.round for record in comparison.records if not record.isolated})
        why = "all rounds repeat its seeds" if rounds > seeds else "that needs more rounds"
        return f"{name} intervals cover the {held}, and not the draw of sample and model: {why}."
    return f"{name} intervals cover the {held} {drawn}; differences are paired on both."


def _ratios(suite: str, records: list[RunRecord]) -> Iterator[RenderableType]:
    """The goals of the suite, if it has some."""
    clusters = ratios.by_cluster(suite, records)
    if not clusters:
        return
    table = drawing.table("Goals, round by round", "cluster", "median (range)", "goal", "", prose="of")
    every = [(ratio, here) for here in clusters.values() for ratio in ratios.RATIOS[suite] if ratio.goal is not None]
    number_of_goals = sum(bool(ratio.of(here)) for ratio, here in every)
    for cluster, here in clusters.items():
        for ratio in ratios.RATIOS[suite]:
            number = "{:.2f}".format if ratio.kind == "ratio" else "{:.3g} s".format
            samples = ratio.of(here)
            goal = drawing.NOTHING if ratio.goal is None else f"at {ratio.bound} {number(ratio.goal)}"
            table.add_row(
                cluster,
                drawing.spread(Spread.of(samples), number),
                goal,
                ratio.verdict(samples, ratio.lost(here), ratio.unequal(here), number_of_goals),
                ratio.name,
            )
    yield Text()
    yield table
    yield Text(
        f"A goal is met, or missed, where the {LEVEL:.0%} interval of all rounds lies on one side of it, widened for "
        "the number of goals that are judged together; the range that is shown is that of the rounds.",
        style="dim",
    )
    for cluster, here in clusters.items():
        parts = ", ".join(f"{name} {drawing.seconds(spread)} s" for name, spread in ratios.breakdown(here).items())
        if parts:
            yield Text(f"fit of xgboost-spark on {cluster}: {parts}.", style="dim")


def _problems(records: list[RunRecord]) -> Iterator[RenderableType]:
    found = tradeoff.problems(records)
    if not found:
        yield Text("Every measured case is ok.")
        return
    table = drawing.table("Cases without a result", "case", "fractions", "outcome", "times", left=0, prose="reason")
    for column in table.columns[:3]:
        column.justify = "left"
    for problem in found:
        fractions = ", ".join(map(show_fraction, problem.fractions))
        table.add_row(problem.subject, fractions, problem.outcome, str(problem.times), problem.reason or NOTHING)
    yield table


def _missing(invocation: Invocation, records: list[RunRecord]) -> Iterator[Text]:
    done = len({(r.case.id, r.round, r.isolated) for r in records if not r.is_warmup})
    if done < invocation.executions:
        yield Text(
            f"{done} of {invocation.executions} executions were measured: go on with `sparkscale run --resume`."
        )


def _interval(found: Interval | None, number: Callable[[float], str]) -> str:
    return f"[{number(found.low)}, {number(found.high)}]" if found else ""
