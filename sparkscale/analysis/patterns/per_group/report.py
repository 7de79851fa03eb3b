"""Draws one model per group: what each engine costs, what became of the groups, which engine to use."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sparkscale.analysis import circumstances
from sparkscale.analysis.drawing import NOTHING, rate, seconds, spread, table
from sparkscale.analysis.patterns.per_group import comparison as per_group
from sparkscale.analysis.patterns.per_group.comparison import JOBLIB, LOOP, USES, Comparison, Way
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import show_fraction
from sparkscale.contract.wording import count

MIB = 2**20


def comparison(found: Comparison) -> Iterator[RenderableType]:
    """What is said of one workload on one sample of groups; all there is to say only of the largest."""
    case = found.case
    which = "all groups" if case.fraction == 1 else f"{show_fraction(case.fraction)} of the groups"
    yield Text(
        f"{case.workload} on {case.dataset} by {case.params['by']}, {which}, cluster {case.cluster}, {case.device}: "
        f"{found.ways[0].declared.summary}",
        style="bold",
    )
    parameters = ", ".join(f"{name} {value}" for name, value in found.parameters.items())
    yield Text(parameters or "the library's own defaults", style="dim")
    yield from _groups(found)
    yield _costs(found)
    yield from (Text(warning, style="bold") for warning in quality_warnings(found.records))
    if not found.is_largest:
        return
    yield _uses(found)
    yield _tasks(found)
    if found.lost:
        yield _lost(found)
    if found.disagreeing:
        told = "; ".join(
            f"{engine} {' or '.join(f'{number:,.0f}' for number in models)}"
            for engine, models in found.disagreeing.items()
        )
        yield Text(f"The engines do not agree on which groups have a model: {told}.", style="bold")
    if said := per_group.advice(found):
        yield Text(said, style="bold")
    yield from _footnotes(found)


def _groups(found: Comparison) -> Iterator[Text]:
    named = ("groups", "models", "group_rows_least", "group_rows_median", "group_rows_most")
    values = [found.figure(name) for name in named]
    if None in values:
        return
    groups, models, least, median, most = (float(value or 0) for value in values)
    typical, slowest = found.figure("group_seconds_median"), found.figure("group_seconds_most")
    times = f"; a fit takes {typical * 1e3:.3g} ms, at most {slowest * 1e3:,.3g} ms" if typical and slowest else ""
    yield Text(
        f"{count(f'{groups:,.0f}', 'group')} of {least:,.0f} to {most:,.0f} rows, median {median:,.0f}, hold-outs "
        f"included; {models:,.0f} have a model{times}",
        style="dim",
    )


def _costs(found: Comparison) -> Table:
    drawn = table(
        "Time to all models: median (range)",
        "engine",
        "load + fit, s",
        "with layout, s",
        "models/s",
        f"speed-up over\n{LOOP}",
        f"speed-up over\n{JOBLIB}",
        f"with layout,\nover {JOBLIB}",
    )
    loop, joblib = found.comparable_way(LOOP), found.comparable_way(JOBLIB)
    for way in found.ways:
        drawn.add_row(
            way.engine,
            seconds(way.spread()),
            seconds(way.spread(1)) if way.lays_out else NOTHING,
            rate(way.models_per_second, "{:,.0f}".format),
            *(
                [_over(way, loop), _over(way, joblib), _over(way, joblib, 1) if way.lays_out else NOTHING]
                if found.is_comparable(way)
                else [NOTHING] * 3
            ),
        )
    return drawn


def _over(way: Way, other: Way | None, uses: float = float("inf")) -> str:
    return spread(Spread.of(way.speed_up(other, uses)), "{:.2f}".format) if other else NOTHING


def _uses(found: Comparison) -> Table:
    heads = ["no reuse", *(count(uses - 1, "reuse") for uses in USES[1:])]
    drawn = table("Seconds of a training, its share of the layout counted", "engine", *heads)
    for way in found.ways:
        drawn.add_row(way.engine, *(seconds(way.spread(uses)) for uses in USES))
    return drawn


def _tasks(found: Comparison) -> Table:
    names = {quality.name: quality.heading for quality in found.ways[0].declared.qualities}
    observed = [name for name in names if any(name in record.quality for record in found.records)]
    drawn = table(
        "Tasks, shuffle, quality on the groups' hold-outs",
        "engine",
        "layout, s",
        "shuffled and\nlaid out, MiB",
        "tasks",
        "skew: longest\nover mean",
        "work on groups,\nof core time",
        *(names[name] for name in observed),
    )
    for way in found.ways:
        share = way.work_share
        qualities = (Spread.of([r.quality[name] for r in way.records if name in r.quality]) for name in observed)
        moved = way.moved_bytes
        drawn.add_row(
            way.engine,
            seconds(way.layout),
            f"{moved.median / MIB:,.1f}" if moved else NOTHING,
            f"{tasks.median:.0f}" if (tasks := way.figure("tasks")) else NOTHING,
            spread(way.figure("task_skew"), "{:.2f}".format),
            NOTHING if share is None else f"{share:.1%}",
            *(f"{quality.median:.4g}" if quality else NOTHING for quality in qualities),
        )
    return drawn


def _lost(found: Comparison) -> Table:
    drawn = table("Groups without a model", "outcome", "groups", "first of them", "engine", prose="what it says")
    for lost in found.lost:
        drawn.add_row(lost.outcome, f"{lost.groups:,}", lost.key, lost.engine or "all", lost.error)
    return drawn


def _footnotes(found: Comparison) -> Iterator[Text]:
    rounds = max((len(way.timed) for way in found.ways), default=0)
    yield Text(
        f"{count(rounds, 'round')}, each in a fresh worker and JVM, after warm-ups in it. "
        "Models are on storage when `fit` ends.",
        style="dim",
    )
    if control := found.control():
        ratios, verdict = control
        told = "" if verdict != "different" else ": they are one code, so distrust differences of this size here"
        first, second = per_group.CONTROL
        share = spread(Spread.of(ratios), "{:.2f}".format)
        yield Text(f"Control: {first} takes {share} of {second}'s time: {verdict}{told}.")
    yield from (Text(note, style="dim") for note in circumstances.notes(found.case, found.records))
    engines = [way.engine for way in found.ways]
    yield from (Text(note, style="dim") for note in circumstances.differences(found.ways[0].declared, engines))
