"""The part of a report about emulated hosts: what their links cost, beside the network term of a forecast."""

from collections.abc import Iterator, Sequence

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Block, Cell, Column, Estimated, Grid, Heading, Text
from sparkscale.analysis.questions.network import AtRate, NetworkTerm, estimated_words, network_terms
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Spread, rounds_interval
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import bit_rate, count, named
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

TITLE = "The network between emulated hosts"
NOTE = (
    "Received: shuffled bytes that each host gets from other hosts. Transfer: their time at the measured rate, if a "
    "host does nothing else. Network term: the part of the transfer that prolongs the job, in seconds beyond those "
    "on the fastest link. It is fitted to all rates, and in the last column to the other rates only. Intervals: "
    "95 % for differences, 90 % for the term. The term leaves out broadcasts, results for the driver and messages "
    "between workers. It also leaves out files, which emulated hosts read from one disk."
)


def network(store: Store, records: Sequence[RunRecord]) -> list[Block]:
    """Returns the blocks about the links between emulated hosts. Empty if no record was measured on them."""
    terms = network_terms(store, records)
    if not terms:
        return []
    has_one_workload = len({term.case.workload for term in terms}) == 1
    rows = [row for term in terms for row in _rows(term, _label(term.case, has_one_workload))]
    columns = (
        blocks.name("engine"),
        blocks.name("link"),
        Column("rounds", ",", priority=2),
        Column("received,\nMB per host", ",.1f"),
        Column("transfer, s", ".2f", priority=1),
        Column("all phases, s\nmedian (range)", ".2f"),
        Column("measured: slower\nthan the fastest link, s", ".2f"),
        Column("network\nterm, s", ".2f"),
        Column("from the other\nrates only, s", ".2f", priority=1),
    )
    return [
        Heading(TITLE),
        *(Text(_sentence(term)) for term in terms),
        Grid("What slower links cost", columns, tuple(rows), is_grouped=True),
        Text(NOTE, is_note=True),
    ]


def _label(case: Case, has_one_workload: bool) -> str:
    """Returns the name of a case in the table. It has the workload only if there are several."""
    workload = "" if has_one_workload else f"{case.workload.rpartition('.')[2]}: "
    return workload + case.engine + ("" if case.fraction == 1 else f", {show_fraction(case.fraction)}")


def _rows(term: NetworkTerm, name: str) -> Iterator[tuple[Cell, ...]]:
    for one in term.at:
        is_fastest = one is term.at[0]
        has_others = len({each.link.requested for each in term.at}) > 2
        yield (
            name,
            bit_rate(one.rate),
            len(one.seconds),
            one.bytes_per_host / 1e6,
            one.transfer_seconds,
            Spread.of(list(one.seconds.values())),
            None if is_fastest else _measured(term, one),
            None if is_fastest else term.added(one),
            term.without(one).added(one) if has_others and not is_fastest else None,
        )


def _measured(term: NetworkTerm, one: AtRate) -> Estimated | None:
    """Returns the mean difference to the fastest link over common rounds. None if there are none."""
    differences = term.differences(one)
    if not differences:
        return None
    mean = sum(differences) / len(differences)
    if len(differences) < FEWEST_ROUNDS:
        return Estimated(mean)
    return Estimated(mean, rounds_interval(differences, of_ratios=False))


def _sentence(term: NetworkTerm) -> str:
    """Returns a sentence with the network term of one engine, and the rates on which it is calibrated."""
    where = (
        f"{term.case.workload} by {term.case.engine} on {term.case.rows:,} rows, {count(term.hosts, 'emulated host')}"
    )
    if term.why_none:
        return f"{where}: no network term, because {term.why_none}."
    if term.is_free:
        return f"{where}: it sends almost no shuffled bytes to other hosts, so its network term is 0."
    parts = []
    for rate in term.shown_rates:
        seconds = term.seconds(rate)
        assert seconds is not None
        parts.append(f"{estimated_words(seconds)} s at {bit_rate(rate)}")
    share = term.share
    assert share is not None
    overlap = "; the rest overlaps computing" if share.value < 1 else ""
    return (
        f"{where}: the shuffle adds {' and '.join(parts)}. Each second of transfer prolongs the job by "
        f"{estimated_words(share)} s{overlap}. Calibrated on emulated hosts at "
        f"{named([bit_rate(one) for one in term.rates])}.{_doubt(share)}"
    )


def _doubt(share: Estimated) -> str:
    """Returns a sentence that says why the term is not resolved. Empty if it is."""
    if share.interval is None:
        return f" Fewer than {FEWEST_ROUNDS} rounds give no interval."
    if share.interval.low > 0:
        return ""
    return " Not resolved: the term may be 0. Measure more rounds, more rows, or on a machine without other load."
