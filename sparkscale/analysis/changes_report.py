"""The report of the changes of a metric over commits: which series changed, when, and with which releases."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparkscale.analysis import blocks, circumstances
from sparkscale.analysis.blocks import Answer, Block, Cell, Column, Grid, Heading, Text, Warning
from sparkscale.analysis.metrics import Metric
from sparkscale.analysis.questions.two_sides import ALPHA
from sparkscale.analysis.series import Collected, Point, Series
from sparkscale.analysis.statistics import Spread
from sparkscale.analysis.steps import FEWEST, LEAST_CHANGE, Step
from sparkscale.contract.phrases import named
from sparkscale.contract.record import SHORT
from sparkscale.store.store import Store

MOST_NAMED = 4
"""The largest number of series that a sentence names."""
MOST_RELEASES = 8
"""The largest number of releases that a cell names."""
NO_RELEASE = "none"
"""The text of a cell if no release changed."""
SHORT_COMMIT = 7
"""The number of characters of a commit's hash in tables. git finds the commit by them."""
JAVA = {"java_release": "Java", "java_vendor": "Java's vendor", "jvm_blas": "the JVM's BLAS"}
"""The parts of a description of software that belong to Java, with their names in tables."""


@dataclass(frozen=True)
class Change:
    """A change of a series between two of its points."""

    series: Series
    step: Step

    @property
    def before(self) -> Spread:
        return _spread(self.series, self.step.before)

    @property
    def after(self) -> Spread:
        return _spread(self.series, self.step.after)

    @property
    def last_before(self) -> Point:
        return self.series.points[self.step.before[-1]]

    @property
    def first_after(self) -> Point:
        return self.series.points[self.step.after[0]]

    @property
    def is_within_commit(self) -> bool:
        """True if one commit lies on both sides, because it was measured with other releases, too."""
        return self.last_before.commit == self.first_after.commit

    @property
    def commits(self) -> str:
        """The range of commits as git writes it: the last commit before, and the first after."""
        first = self.first_after.commit[:SHORT_COMMIT]
        if self.is_within_commit:
            return f"{first} (other releases)"
        return f"{self.last_before.commit[:SHORT_COMMIT]}..{first}"

    @property
    def numbers(self) -> str:
        """The number of commits on each side: "7 + 5"."""
        return " + ".join(
            str(len({self.series.points[position].commit for position in side}))
            for side in (self.step.before, self.step.after)
        )

    @property
    def not_measured(self) -> int | None:
        """The number of commits between the two. None if the history lacks one of them."""
        first, last = self.last_before.position, self.first_after.position
        return None if first is None or last is None else max(0, last - first - 1)

    @property
    def ratio(self) -> float | None:
        """The value after over the value before. None if one of them is not positive."""
        low, high = self.before.median, self.after.median
        return high / low if low > 0 and high > 0 else None

    def verdict(self, metric: Metric) -> str:
        return "worse" if (self.after.median > self.before.median) == (metric.direction == "lower") else "better"


def report(
    store: Store,
    collected: Collected,
    changes: Mapping[int, Sequence[Step]],
    not_confirmed: Sequence[Series],
    left_out: Mapping[str, int],
) -> Iterator[Block]:
    """Yields the blocks of the report.

    `changes` holds the changes of each series, by its position in `collected`. In the series `not_confirmed` asv sees
    a step that the test does not confirm. `left_out` counts records that are in no series, by the reason.
    """
    metric = collected.metric
    yield Heading(f"Changes of {metric.name} over the commits", level=1)
    if len(collected.commits) < 2:
        yield Answer(_one_commit(collected))
    else:
        all_changes = [Change(collected.series[one], step) for one in sorted(changes) for step in changes[one]]
        judged = [one for one in collected.series if one.is_long_enough]
        sentences = _answer(metric, all_changes, judged, len(collected.series))
        yield Answer(sentences, evidence=_evidence(all_changes))
        yield from _tables(metric, all_changes)
        yield from _released(store, all_changes)
        if not_confirmed:
            yield Text(
                f"In {len(not_confirmed)} series asv's own detection sees a step that is not certain. It may "
                f"be noise, or it has too few commits on one side: {_labels(not_confirmed)}."
            )
        yield from _too_short(collected)
        yield from _order(collected)
        yield from _hosts(store, collected)
    yield from _left_out({**left_out, **collected.left_out})
    if len(collected.commits) > 1:
        yield Text(_rule(), is_note=True)


def _one_commit(collected: Collected) -> str:
    if not collected.commits:
        return f"No record that counts has a value of {collected.metric.name}."
    return (
        f"All values of {collected.metric.name} are of one commit, {collected.commits[0][:SHORT_COMMIT]}: a change "
        f"needs {FEWEST} commits before it and {FEWEST} after it."
    )


def _answer(metric: Metric, changes: Sequence[Change], judged: Sequence[Series], series: int) -> str:
    """Returns the sentences that say how many series changed, and which became worse or better."""
    if not judged:
        return (
            f"No change of {metric.name} can be seen yet: it needs {2 * FEWEST} commits, and none of {series} series "
            "has as many."
        )
    commits = sorted({len(one.commits) for one in judged})
    measured = "–".join(map(str, dict.fromkeys((commits[0], commits[-1]))))
    of_series = f"{len(judged)} series of {measured} commits"
    if not changes:
        return f"No change of {metric.name} in {of_series}."
    changed = len({one.series.label for one in changes})
    sentences = [f"{metric.name} changed in {changed} of {of_series}."]
    for verdict in ("worse", "better"):
        if of_verdict := [one for one in changes if one.verdict(metric) == verdict]:
            labels = [f"{one.series.label}{_times(one)} {_since(one)}" for one in of_verdict]
            sentences.append(f"{verdict.capitalize()}: {named(labels, MOST_NAMED, '; ')}.")
    return " ".join(sentences)


def _times(change: Change) -> str:
    return "" if change.ratio is None else f", {change.ratio:.2f} ×"


def _since(change: Change) -> str:
    first = change.first_after.commit[:SHORT_COMMIT]
    return f"within commit {first}, with other releases" if change.is_within_commit else f"since {first}"


def _evidence(changes: Sequence[Change]) -> tuple[str, ...]:
    """Returns the ids of the records next to each change."""
    points = [point for one in changes for point in (one.last_before, one.first_after)]
    return tuple(dict.fromkeys(record.id for point in points for record in point.records))


def _labels(series: Sequence[Series]) -> str:
    return named([one.label for one in series], MOST_NAMED, "; ")


def _tables(metric: Metric, changes: Sequence[Change]) -> Iterator[Block]:
    """Yields a table of changes for each work."""
    by_work: dict[str, list[Change]] = defaultdict(list)
    for one in changes:
        by_work[one.series.work].append(one)
    has_which = any(one.series.which for one in changes)
    columns = (
        blocks.name("series"),
        *([blocks.name("which", priority=2)] if has_which else []),
        _column(metric, "before"),
        _column(metric, "after"),
        Column("ratio", ".2f"),
        blocks.name("verdict"),
        blocks.name("commits"),
        Column("commits\nbetween", ",", priority=3),
        blocks.name("number of\ncommits", priority=4),
    )
    for work, of_work in by_work.items():
        yield Grid(work, columns, tuple(_row(metric, one, has_which) for one in of_work))
    if any(one.is_within_commit for one in changes):
        yield Text(
            "(other releases): the change lies within this commit. It was measured with several sets of package "
            "releases, and the value changed with them.",
            is_note=True,
        )
    if changes:
        yield Text(
            "before, after: median (range) of the commits' values, which are medians of their rounds. commits: the "
            "last one before the change, and the first after it. commits between: those that were not measured. "
            "`git log --oneline A..B` lists what changed.",
            is_note=True,
        )


def _column(metric: Metric, side: str) -> Column:
    if metric.unit == "bytes":
        return Column(f"{side}, MiB", ",.1f", scale=1 / 2**20)
    return Column(f"{side}, {metric.unit}" if metric.unit else side, ".3g", large=(999.5, ",.0f"))


def _row(metric: Metric, change: Change, has_which: bool) -> tuple[Cell, ...]:
    return (
        change.series.name,
        *([change.series.which or None] if has_which else []),
        change.before,
        change.after,
        change.ratio,
        change.verdict(metric),
        change.commits,
        change.not_measured,
        change.numbers,
    )


def _released(store: Store, changes: Sequence[Change]) -> Iterator[Block]:
    """Yields a table of the releases that changed with each change, or a sentence if none did."""
    texts = [_releases(store, one) for one in changes]
    if any(text != NO_RELEASE for text in texts):
        columns = (
            blocks.name("commits"),
            blocks.prose("workload"),
            blocks.name("series"),
            blocks.prose("releases that changed"),
        )
        rows: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for one, text in zip(changes, texts, strict=True):
            rows[one.commits, one.series.work, text].append(one.series.title)
        yield Grid(
            "Package releases that changed between these commits",
            columns,
            tuple((commits, work, named(series, MOST_NAMED), text) for (commits, work, text), series in rows.items()),
        )
    elif changes:
        yield Text("No package release changed between these commits.")


def _releases(store: Store, change: Change) -> str:
    """Returns the releases that differ between the two sides of a change, in words."""
    own, its = (store.content(point.software) for point in (change.last_before, change.first_after))
    if own is None or its is None:
        return "not known"
    before, after = _versions(own), _versions(its)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    texts = [f"{name} {before.get(name) or 'none'} → {after.get(name) or 'none'}" for name in names]
    return named(texts, MOST_RELEASES) or NO_RELEASE


def _versions(content: Mapping[str, Any]) -> dict[str, str | None]:
    """Returns the versions in a description of software: first those of the libraries that engines use."""
    packages = dict(content.get("packages", {}))
    first = {name: packages.pop(name) for name in circumstances.LIBRARIES if name in packages}
    java = {title: content.get(name) for name, title in JAVA.items()}
    return {"Python": content.get("python"), **java, **first, **packages}


def _spread(series: Series, positions: Sequence[int]) -> Spread:
    values = [series.points[position].value for position in positions]
    return Spread(float(np.median(values)), min(values), max(values), len(values), len(values), len(values))


def _too_short(collected: Collected) -> Iterator[Block]:
    """Yields a sentence about the series that have too few commits for a change."""
    short = [one for one in collected.series if not one.is_long_enough]
    if short:
        labels = [f"{one.label} ({len(one.commits)})" for one in short]
        has = "it has" if len(short) == 1 else "they have"
        yield Text(
            f"{len(short)} series {_be(len(short))} not looked at, because {has} fewer than {2 * FEWEST} commits: "
            f"{named(labels, MOST_NAMED, '; ')}."
        )


def _order(collected: Collected) -> Iterator[Block]:
    """Yields a warning if commits could not be ordered by the history."""
    if collected.unknown:
        every, some = len(collected.commits), len(collected.unknown)
        subject = f"The {every} commits are" if some == every else f"{some} of {every} commits {_be(some)}"
        short = named([commit[:SHORT_COMMIT] for commit in collected.unknown], MOST_NAMED)
        yield Warning(
            f"{subject} not in the history of this checkout's HEAD. Without their place there, the order is that of "
            f"the first measurement: {short}."
        )


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _hosts(store: Store, collected: Collected) -> Iterator[Block]:
    """Yields a note that describes the hosts, if there are several."""
    hosts = dict.fromkeys(point.records[0].host for one in collected.series for point in one.points)
    if len(hosts) > 1:
        described = [
            f"{host[:SHORT]}: {circumstances.host(content)}" for host in hosts if (content := store.content(host))
        ]
        yield Text(f"Each host has series of its own. {'; '.join(described)}.", is_note=True)


def _left_out(left_out: Mapping[str, int]) -> Iterator[Block]:
    if left_out:
        texts = [f"{number:,} {reason}" for reason, number in left_out.items()]
        yield Text(f"Records that do not count: {', '.join(texts)}.", is_note=True)


def _rule() -> str:
    return (
        f"A change has {FEWEST} commits or more on each side, and medians that differ by more than "
        f"{LEAST_CHANGE:.0%}. A t test of the commits' values shows it at the level {ALPHA:.2f} for all series "
        "together, so that noise is rarely called a change. A machine that becomes slower looks like one, too."
    )
