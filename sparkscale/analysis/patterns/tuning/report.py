"""The report of parallel tuning: how soon each engine finds a good configuration, and the cost of a trial."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from sparkscale.analysis import blocks, circumstances
from sparkscale.analysis.blocks import Answer, Block, Cell, Chart, Column, Grid, Series, Text, Warning
from sparkscale.analysis.patterns.drawing import ranking
from sparkscale.analysis.patterns.protocol import with_evidence
from sparkscale.analysis.patterns.tuning.comparison import (
    SHARES,
    VARIANT_PARAMETERS,
    Search,
    Searches,
    advice,
    comparisons,
)
from sparkscale.analysis.plausibility import quality_warnings
from sparkscale.analysis.price import Price, costs, price_of
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import count
from sparkscale.contract.record import TRIALS, RunRecord
from sparkscale.contract.target import MARGIN, SUITE, targets_found
from sparkscale.store.store import Store

MIB = 2**20


def condensed(record: RunRecord, name: str, table: pa.Table) -> tuple[str, pa.Table] | None:
    """Returns the table of trials unchanged. Returns None for a warm-up, and for any other table.

    No report needs other tables, such as a winner's scores.
    """
    return (name, table) if name == TRIALS and not record.is_warmup else None


def reports(store: Store, records: Sequence[RunRecord]) -> list["SearchesReport"]:
    """Returns a report for each workload, data set, sample, cluster, device, space and target."""
    return [SearchesReport(item, price_of(store, item.searches[0].records)) for item in comparisons(store, records)]


@dataclass(frozen=True)
class SearchesReport:
    """The report of one workload's searches. It has no advice if the searches were made to find a target."""

    comparison: Searches
    price: Price | None = None
    """The price of the cluster. None if it is not known."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        return self.comparison.case.params_without("arguments", *VARIANT_PARAMETERS)

    @property
    def subject(self) -> str:
        case = self.comparison.case
        which = "all rows" if case.fraction == 1 else f"{show_fraction(case.fraction)} of the rows"
        return f"{case.workload} on {case.dataset}, {which}, cluster {case.cluster}, {case.device}"

    @property
    def records(self) -> list[RunRecord]:
        return [record for search in self.comparison.searches for record in search.records]

    @property
    def is_for_targets(self) -> bool:
        """True if the searches were made to find a target loss."""
        return any(record.suite == SUITE for record in self.records)

    def answers(self) -> list[Answer]:
        """Returns one answer: which engine to use, or the target that was found."""
        answer = self._target() if self.is_for_targets else advice(self.comparison)
        return [with_evidence(answer, self.records)]

    def _target(self) -> Answer:
        targets = targets_found(self.records)
        if not targets:
            return Answer("No search found a target.", "no")
        losses = ", ".join(f"{target.metric} {target.loss:g}" for target in targets)
        return Answer(f"The target loss is {losses}: the best validation loss plus {MARGIN:.0%}.", "yes")

    @property
    def cluster(self) -> str:
        return self.comparison.case.cluster

    @property
    def cases(self) -> Iterable[Case]:
        return [search.case for search in self.comparison.searches]

    def charts(self) -> Iterator[Chart]:
        """Yields charts of the searches: the time of each, and the best loss so far of each seed against time."""
        searches = [(search.label, search) for search in self.comparison.searches]
        seconds = "seconds: median and range"
        yield ranking("Time of a search", seconds, searches, lambda record: record.figures.get("search_seconds"))
        lines = tuple(
            Series(search.label, *zip(*best, strict=True))
            for search in self.comparison.searches
            for course in search.courses
            if (best := course.improvements())
        )
        if lines:
            yield Chart(
                "Best loss against time, a line for each search", "seconds", "best loss so far", lines, is_log_x=True
            )

    def blocks(self) -> Iterator[Block]:
        comparison = self.comparison
        yield Text(comparison.searches[0].declared.summary)
        yield Text(_space(comparison.case.params), is_note=True)
        yield from (Warning(warning) for warning in quality_warnings(self.records))
        yield self._searches()
        if self.comparison.moments:
            yield self._courses()
        yield self._winners()
        yield self._trials()
        if comparison.failures:
            yield self._failures()
        if self.is_for_targets:
            yield from self._targets()
        yield from self._footnotes()

    def _searches(self) -> Grid:
        target = self.comparison.target
        times = [search.figure("search_seconds") for search in self.comparison.searches]
        cost, cost_cells = costs(self.price, "the search", times)
        columns = [blocks.name("engine"), Column("trials", ".0f"), blocks.seconds("search, s"), *cost]
        if target is not None:
            columns += [Column(f"seconds to {target:.4g}", ".1f", beyond="never"), blocks.name("reached by")]
        rows = []
        for search, seconds, cost_cell in zip(self.comparison.searches, times, cost_cells, strict=True):
            trials = search.figure("trials")
            row: list[Cell] = [search.label, trials.median if trials else None, seconds, *cost_cell]
            if target is not None and search.is_comparable:
                row += [search.to_target(target), f"{search.reached(target)} of {len(search.attempts)}"]
            elif target is not None:
                row += [None, None]
            rows.append(tuple(row))
        return Grid("The searches: median (range)", tuple(columns), tuple(rows))

    def _courses(self) -> Grid:
        moments = self.comparison.moments
        rows = tuple(
            (search.label, *(search.best_at(moment) for moment in moments))
            for search in self.comparison.searches
            if search.is_comparable
        )
        columns = (blocks.name("engine"), *(_loss(f"at {moment:.1f} s") for moment in moments))
        return Grid("Best validation loss, load included: median (range)", columns, rows)

    def _winners(self) -> Grid:
        searches = self.comparison.searches
        names = {
            quality.name: quality.title
            for quality in searches[0].declared.qualities
            if quality.metric  # the skill only shows if a constant is as good
        }
        observed = [name for name in names if any(search.quality(name) for search in searches)]
        columns = (
            blocks.name("engine"),
            *(_loss(f"after {share:.0%}", len(SHARES) - number) for number, share in enumerate(SHARES)),
            *(Column(f"hold-out {names[name]}", ".4f", beyond="none", counts=True) for name in observed),
        )
        rows = tuple((search.label, *_after(search), *map(search.quality, observed)) for search in searches)
        return Grid("Best validation loss against trials, and the winner on the hold-out", columns, rows)

    def _trials(self) -> Grid:
        columns = (
            blocks.name("engine"),
            Column("trials/s", ".2f"),
            Column("most at once", ".0f", priority=1),
            blocks.seconds("a trial, s"),
            Column("dispatch, s", ".3f"),
            Column("shipped, MiB", ",.1f", priority=2),
        )
        figures = ("trials_per_second", "concurrency", "trial_seconds_median", "dispatch_seconds_median")
        rows = []
        for search in self.comparison.searches:
            shipped = search.figure("bytes_shipped")
            rows.append((search.label, *map(search.figure, figures), shipped.median / MIB if shipped else None))
        return Grid("Trials", columns, tuple(rows))

    def _failures(self) -> Grid:
        columns = (
            blocks.name("engine"),
            blocks.name("outcome"),
            Column("trials", ","),
            blocks.prose("first of them"),
            blocks.prose("reason"),
        )
        rows = tuple(
            (failure.label, failure.outcome, failure.trials, failure.parameters, failure.error)
            for failure in self.comparison.failures
        )
        return Grid("Trials without a loss", columns, rows)

    def _targets(self) -> Iterator[Text]:
        """Yields the targets that were found, as TOML for a suite."""
        targets = targets_found(self.records)
        if targets:
            yield Text(
                "Runs of the suite `tuning` into the same --out use the best target that was found on the same data "
                "with the same seed, unless the suite states one. A suite of your own may state it:"
            )
            yield Text("\n\n".join(target.toml for target in targets), is_code=True)

    def _footnotes(self) -> Iterator[Text]:
        searches = self.comparison.searches
        most = max((len(search.attempts) for search in searches), default=0)
        notes = [
            f"At most {count(most, 'execution')} of each engine, with different sampler seeds or in different rounds."
            " Losses are of the validation part, which is cut from the training rows; the hold-out is seen once, by "
            "the winner, refitted on all training rows.",
            *([self.price.note(self.comparison.case.cluster)] if self.price else []),
            *circumstances.notes(self.comparison.case, self.records),
            *circumstances.differences(searches[0].declared, [search.case.engine for search in searches]),
        ]
        yield from (Text(note, is_note=True) for note in notes)


def _loss(heading: str, priority: int = 0) -> Column:
    """Returns a column of losses. A search has no loss before its first trial ends."""
    return Column(heading, ".4f", beyond="none", priority=priority)


def _after(search: Search) -> tuple[Cell, ...]:
    """Returns a cell for each share in SHARES (1/4, 1/2 and 1): the best loss after this share of the trials.

    The cells are None if the engine is not comparable.
    """
    return tuple(search.best_after(share) if search.is_comparable else None for share in SHARES)


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
    target_text = "no target loss" if target is None else f"target loss {target:.4g}"
    return f"{'; '.join(parts)}; {target_text}"
