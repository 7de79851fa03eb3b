"""The report of `sparkscale plan`: the answer in words, the options, and how far to trust them."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from sparkscale.analysis import blocks, circumstances
from sparkscale.analysis.blocks import Answer, Block, Cell, Column, Estimated, Grid, Heading, Text
from sparkscale.analysis.memory import amount
from sparkscale.analysis.questions.fitting import LEVEL
from sparkscale.analysis.questions.network import term_of
from sparkscale.analysis.questions.plan.options import Option, spans
from sparkscale.analysis.questions.plan.plan import Plan
from sparkscale.analysis.questions.plan.times import FEWEST_SCALE_OUTS
from sparkscale.analysis.questions.runtime_trend import FEWEST_CONFIGURATIONS
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import count, named, number

MOST_MET, MOST_MISSED = 8, 6
"""The largest numbers of options in the tables, unless all are requested."""


def report(plan: Plan, shows_all: bool = False) -> Iterator[Block]:
    """Yields the blocks of a plan. If `shows_all` is true, the tables hold every option."""
    yield Answer(_answer(plan), evidence=tuple(record.id for record in plan.answer.job.records))
    yield Text(_basis(plan), is_note=True)
    yield from _tables(plan, shows_all)
    yield Heading("How far to trust it")
    yield from (Text(sentence) for sentence in _trust(plan))
    yield from (Text(sentence, is_note=True) for sentence in _notes(plan))


def _answer(plan: Plan) -> str:
    """Returns the answer in words: the option to use, or the nearest one and by how much it misses."""
    option = plan.answer
    if all(one.time.seconds is None for one in plan.options):
        return (
            f"Nothing can be planned: no offered option has a known time. {_place(option)}: {option.time.why_none}."
        )
    words = f"{_words(option)}: {', '.join(_numbers(plan, option))}"
    if plan.chosen is None:
        return f"Nothing meets the wish. The nearest is {words}. Why not: {'; '.join(option.reasons)}."
    doubt = f" Check its memory first: {option.fit.reason}." if option.fit.verdict == "not known" else ""
    return f"Use {words}.{_all_rows(plan)}{doubt}"


def _all_rows(plan: Plan) -> str:
    """Returns a sentence about the best option with all rows that meets the wish. Empty if it is the chosen one."""
    option = plan.answer
    whole = next((one for one in plan.options if one.fraction == 1 and one.verdict.startswith("meets")), None)
    if whole is None or option.fraction == 1:
        return ""
    where = "" if (whole.job, whole.place) == (option.job, option.place) else f" with {_place(whole)}"
    return f" All rows take {_seconds(whole)}{where}."


def _words(option: Option) -> str:
    rows = "all rows" if option.fraction == 1 else f"{show_fraction(option.fraction)} of the rows"
    return f"{_place(option)} with {rows} ({option.rows:,.0f})"


def _place(option: Option) -> str:
    device = " and its GPU" if option.job.device == "gpu" else ""
    return f"{option.job.engine} on {option.place.words}{device}"


def _numbers(plan: Plan, option: Option) -> Iterator[str]:
    """Yields what an option takes, costs, gives up and needs."""
    yield _seconds(option)
    if option.cost is not None and option.costs is not None and option.place.price:
        low, high = (number(end) for end in (option.costs.low, option.costs.high))
        yield f"{option.place.price.words(option.cost)} ({low}–{high})"
    if option.given.interval == Interval(0.0, 0.0):
        yield "nothing given up"
    elif option.given.loss is not None and option.given.interval is not None and plan.judge.criterion:
        criterion = plan.judge.criterion
        low, high = (criterion.show_given_up(end) for end in (option.given.interval.low, option.given.interval.high))
        loss = criterion.show_given_up(option.given.loss)
        yield f"{loss} of {criterion.name} given up ({low} to {high})"
    else:
        yield f"loss not known ({option.given.why_none})"
    if option.fit.bytes is not None:
        yield f"{'heap' if option.place.placement == 'spark' else 'memory'} {_memory(option)}"


def _seconds(option: Option) -> str:
    return "time not known" if option.time.seconds is None else spans(option.time.seconds, option.time.interval)


def _memory(option: Option) -> str | None:
    """Returns the memory of an option as text. None if it is not known."""
    fit = option.fit
    if fit.bytes is None:
        return None
    if fit.interval is not None:
        return f"{amount(fit.bytes)} (up to {amount(fit.interval.high)})"
    return f"at most {amount(fit.bytes)}"


def _basis(plan: Plan) -> str:
    """Returns a sentence about the records, the host and the limits of the wish."""
    basis = plan.basis
    host = basis.store.content(basis.records[0].host)
    wish = plan.wish
    limits = [f"{wish.rows:,} rows"]
    if wish.columns:
        limits.append(count(wish.columns, "column"))
    if wish.deadline is not None:
        limits.append(f"done within {spans(wish.deadline)}")
    if wish.budget is not None:
        limits.append(f"at most {number(wish.budget)}")
    if plan.judge.criterion:
        source = "" if plan.judge.needs_loss else " (the workload's tolerance)"
        limits.append(f"at most {plan.judge.criterion.show_given_up(plan.judge.max_loss)} given up{source}")
    measured = f"{count(len(basis.records), 'record')} of {basis.workload} on {basis.dataset}"
    where = f", measured on {circumstances.host(host)}" if host else ""
    return f"Planned: {', '.join(limits)}. From {measured}{where}. Numbers in brackets are {LEVEL:.0%} intervals."


def _tables(plan: Plan, shows_all: bool) -> Iterator[Block]:
    met = [one for one in plan.options if one.verdict.startswith("meets")]
    missed = [one for one in plan.options if not one.verdict.startswith("meets") and one.time.seconds is not None]
    unknown = [one for one in plan.options if one.time.seconds is None]
    if met:
        order = "the cheapest first" if met[0].cost is not None else "the fastest first"
        if met[0].cost is not None and any(one.cost is None for one in met):
            order += ", those without a price last"
        if len({one.verdict for one in met}) > 1:
            order += ", those of unknown memory last"
        shown = met if shows_all else met[:MOST_MET]
        yield from _options(plan, f"Options that meet the wish, {order}", shown)
        yield from _more(len(met) - len(shown))
    if missed:
        shown = missed if shows_all else missed[:MOST_MISSED]
        yield from _options(plan, "Options that do not, the nearest first", shown)
        yield from _more(len(missed) - len(shown))
    if unknown:
        yield _unknown(unknown)


def _more(number_left: int) -> Iterator[Text]:
    if number_left > 0:
        yield Text(f"{number_left} more: --all shows them.", is_note=True)


def _options(plan: Plan, title: str, options: Sequence[Option]) -> Iterator[Block]:
    """Yields a table of options, and below it their reasons. The last column has the numbers of the reasons."""
    reasons = list(dict.fromkeys(reason for option in options for reason in option.reasons))
    yield _grid(plan, title, options, reasons)
    for position, reason in enumerate(reasons, start=1):
        yield Text(f"({position}) {reason}", is_note=True)


def _grid(plan: Plan, title: str, options: Sequence[Option], reasons: Sequence[str]) -> Grid:
    criterion = plan.judge.criterion
    has_cost = any(option.cost is not None for option in options)
    currency = next((option.place.price.currency for option in options if option.place.price), "")
    columns = (
        blocks.name("engine"),
        blocks.name("where"),
        blocks.name("share\nof rows"),
        Column("time, s\n[interval]", ",.3g", large=(100.0, ",.0f")),
        *((Column(f"cost, {currency}\n[interval]", ",.3g", large=(100.0, ",.0f")),) if has_cost else ()),
        Column(
            f"{criterion.name if criterion else 'quality'} given up\n[interval]",
            criterion.judged.given_up_form if criterion else "",
        ),
        Column("memory, GiB\n[interval]", ".2f", priority=2),
        Column(criterion.name if criterion else "quality", criterion.judged.form if criterion else "", priority=3),
        *((blocks.name("why not,\nor not known"),) if reasons else ()),
    )
    return Grid(title, columns, tuple(_row(option, has_cost, reasons) for option in options))


def _row(option: Option, has_cost: bool, reasons: Sequence[str]) -> tuple[Cell, ...]:
    assert option.time.seconds is not None
    given, fit = option.given, option.fit
    memory: Cell = None
    if fit.bytes is not None:
        memory = f"≤ {fit.bytes / 2**30:.1f}" if fit.is_limit else Estimated(fit.bytes / 2**30, _gib(option))
    return (
        option.job.engine + (", gpu" if option.job.device == "gpu" else ""),
        option.place.short,
        show_fraction(option.fraction),
        Estimated(option.time.seconds, option.time.interval),
        *((None if option.cost is None else Estimated(option.cost, option.costs),) if has_cost else ()),
        None if given.loss is None else Estimated(given.loss, given.interval),
        memory,
        given.quality,
        *((" ".join(f"({reasons.index(one) + 1})" for one in option.reasons) or None,) if reasons else ()),
    )


def _gib(option: Option) -> Interval | None:
    interval = option.fit.interval
    return None if interval is None else Interval(interval.low / 2**30, interval.high / 2**30)


def _unknown(options: Sequence[Option]) -> Grid:
    """Returns a table of the options without a time: one row for each engine, place and reason."""

    def key(option: Option) -> tuple[str, str, str]:
        return option.job.engine, option.place.short, option.time.why_none

    rows = [
        (engine, place, _fractions([option.fraction for option in of_row]), f"time not known: {why}")
        for (engine, place, why), of_row in groupby(sorted(options, key=key), key=key)
    ]
    columns = (blocks.name("engine"), blocks.name("where"), blocks.name("share of rows"), blocks.prose("why not"))
    return Grid("Options without a time", columns, tuple(rows))


def _fractions(fractions: Sequence[float]) -> str:
    ordered = sorted(fractions)
    if len(ordered) == 1:
        return show_fraction(ordered[0])
    return f"{show_fraction(ordered[0])} to {show_fraction(ordered[-1])}"


def _trust(plan: Plan) -> Iterator[str]:
    """Yields sentences about the intervals and the models."""
    found = plan.coverage
    if found.predicted:
        yield (
            f"{count(found.predicted, 'measured configuration')} of this workload were predicted without their own "
            f"runs: {found.covered:.0%} of the runs lie within their {LEVEL:.0%} intervals, and the median error is "
            f"{found.error:.0%}." + (f" {found.refused} could not be predicted." if found.refused else "")
        )
    else:
        yield "No configuration can be predicted without its own runs, so the intervals are not checked."
    option = plan.answer
    times = plan.times_of(option)
    if option.time.caution:
        yield f"{option.job.engine}: {option.time.caution}."
    if len(times.scale_outs) < FEWEST_SCALE_OUTS:
        were = ", ".join(number(cores) for cores in times.scale_outs)
        yield (
            f"{option.job.engine} was measured on {were} cores: with fewer than {FEWEST_SCALE_OUTS} numbers of "
            "cores, nothing is predicted beyond them."
        )
    yield from _network(plan, option)
    if times.model is not None:
        yield from _terms(option.job.engine, times.model.total.left_out)
    yield from _cliffs(plan)


def _cliffs(plan: Plan) -> Iterator[str]:
    """Yields a sentence for each engine that was beyond memory."""
    for one in plan.times:
        beyond = one.model.total.beyond_memory if one.model else ()
        if beyond:
            places = [f"{number(each.size)} on {number(each.scale_out)} cores" for each in beyond]
            yield f"{one.job.engine} was beyond memory with {named(places)}: these runs are left out."


def _network(plan: Plan, option: Option) -> Iterator[str]:
    """Yields a sentence about the network between several hosts. Nothing if the option has one host.

    Executors of a standalone cluster share one host, so their times hold no network. The term is then what hosts of
    their own would add.
    """
    place = option.place
    if place.placement == "node" or place.executors < 2 or place.kind not in ("standalone", "external"):
        return
    term = term_of(plan.basis.network, option.job.records[-1].case)
    if term is None:
        if place.kind == "external":
            yield (
                f"Network: {option.job.engine} was not measured on emulated hosts at two rates, so the plan does not "
                "say what another link would cost (`sparkscale emulate`)."
            )
        return
    scope = (
        "the time above holds no network" if place.kind == "standalone" else "the time above holds that of its own"
    )
    rows = option.rows * plan.sizes.columns / plan.basis.columns
    yield f"Network ({scope}): {term.words(rows, place.executors)}"


def _terms(engine: str, left_out: dict[str, str]) -> Iterator[str]:
    """Yields one sentence for each reason to leave terms out of the model of the time."""
    by_reason: dict[str, list[str]] = {}
    for term, reason in left_out.items():
        by_reason.setdefault(reason, []).append(term)
    for reason, terms in by_reason.items():
        yield f"The model of {engine} has no term in {', '.join(terms)} (s: size, m: cores): {reason}."


def _notes(plan: Plan) -> Iterator[str]:
    if plan.sizes.assumption:
        yield f"{plan.sizes.assumption} Quality is that with the measured columns."
    if plan.qualities and plan.qualities.best:
        engine, _ = plan.qualities.best
        unknown = sorted(plan.qualities.unknown())
        without = f" No quality is known of {', '.join(unknown)}." if unknown else ""
        yield f"Quality is given up against {engine} with all rows, the best of the engines.{without}"
    for one in plan.times:
        for configuration in one.without_time:
            failed = configuration.failed
            outcome = f" ({failed.outcome})" if failed else ""
            yield (
                f"{one.job.engine} with {configuration.rows:,.0f} rows on {configuration.cores} cores is left out: "
                f"some execution has no time{outcome}."
            )
    few = [
        one.job.engine
        for one in plan.times
        if one.model and len(one.model.total.configurations) < FEWEST_CONFIGURATIONS
    ]
    if few:
        names = ", ".join(dict.fromkeys(few))
        yield f"Fewer than {FEWEST_CONFIGURATIONS} configurations make intervals wide: {names}."
    prices = {one.place.cluster: one.place.price for one in plan.options if one.place.price}
    yield from (price.note(cluster) for cluster, price in prices.items())
    if prices:
        yield "Fewer executors than those of the profile cost in proportion."
    yield from plan.basis.notes
