"""The report of a run as blocks, for `sparkscale show`. Answers come first, then tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from sparkscale.analysis import blocks, circumstances, heap_report, metrics
from sparkscale.analysis.answered import answers_by_subject, answers_to_questions
from sparkscale.analysis.blocks import Answer, Block, Column, Grid, Heading, Text, Warning
from sparkscale.analysis.data_sets import data_sets
from sparkscale.analysis.goals import goals
from sparkscale.analysis.known import Known
from sparkscale.analysis.network_report import network
from sparkscale.analysis.patterns import PATTERNS
from sparkscale.analysis.patterns.data_parallel.frontier import Frontier
from sparkscale.analysis.patterns.protocol import Comparison
from sparkscale.analysis.price import Price
from sparkscale.analysis.problems import Problem, problems
from sparkscale.analysis.runs_compared import runs_compared
from sparkscale.contract.case import by_path, show_fraction
from sparkscale.contract.phrases import count, named
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

MOST_NAMED = 3
"""If a run has more workloads than this, its first lines count their engines instead of naming them."""
FAILURES = "Cases without a result"
"""The heading above the table of the cases without a result."""


def report(store: Store, invocation: Invocation, has_charts: bool = False) -> list[Block]:
    """Returns all blocks of the report of one run.

    If `has_charts` is true, each comparison also has its answers and charts before the tables, and its failures after
    them.
    """
    records = store.records(invocation.id)
    report_blocks: list[Block] = [*_heading(store, invocation, records), *data_sets(store, records)]
    if invocation.command == "heap":
        return [*report_blocks, *heap_report.search(records)]
    comparisons = [item for pattern in PATTERNS.values() for item in pattern.reports(store, records)]
    failures = problems(records)
    report_blocks.append(_failed(records, failures))
    report_blocks += _missing(invocation, records)
    subjects = distinct_subjects(comparisons)
    answered = [comparison.answers() for comparison in comparisons]
    report_blocks += _answers(answered, subjects)
    if failures:
        report_blocks += [Heading(FAILURES), _problems("Each case, and why it has none", failures)]
    report_blocks += goals(invocation.goals, records)
    versions = _versions(store, records) if has_charts else {}
    failing = [record for record in metrics.latest(records) if record.outcome != "ok"] if has_charts else []
    for comparison, answers, subject in zip(comparisons, answered, subjects, strict=True):
        shown = list(comparison.blocks())
        if has_charts:
            charts = [replace(chart, versions=versions) for chart in comparison.charts() if not chart.is_empty]
            shown = [*_answers_of(answers), *charts, *shown, *_failures_of(comparison, failing)]
        report_blocks += [Heading(subject, cluster=comparison.cluster), *shown] if shown else []
    return [*report_blocks, *network(store, records), *_without_report(records)]


def _versions(store: Store, records: Sequence[RunRecord]) -> dict[str, str]:
    """Returns the versions of each software that was measured, by the id of its description."""
    contents = {identity: store.content(identity) for identity in dict.fromkeys(r.software for r in records)}
    return {identity: circumstances.versions(content) for identity, content in contents.items() if content}


def _answers_of(answers: Sequence[Answer]) -> Iterator[Block]:
    """Yields the answers of one comparison, each below its question. Their evidence is in the first part."""
    for answer in answers:
        if answer.question:
            yield Text(answer.question)
        yield replace(answer, evidence=())


def _failures_of(comparison: Comparison, failing: Sequence[RunRecord]) -> Iterator[Grid]:
    """Yields a table of the comparison's cases without a result. Nothing if none of the records is one of them."""
    keys = {case.subject_key("version", "fraction") for case in comparison.cases} if failing else set()
    own = [record for record in failing if record.case.subject_key("version", "fraction") in keys]
    if found := problems(own):
        yield _problems("Cases of this comparison without a result", found)


def report_of_runs(store: Store, invocations: Sequence[Invocation], has_charts: bool = False) -> list[Block]:
    """Returns the blocks of a report of one or more runs.

    Several runs are compared first, and their emulated hosts are put together. The report of each follows, with its
    headings one level lower.
    """
    if len(invocations) == 1:
        return report(store, invocations[0], has_charts)
    found: list[Block] = [Heading(f"{len(invocations)} runs", level=1), *runs_compared(store, invocations)]
    found += network(store, [record for invocation in invocations for record in store.records(invocation.id)])
    for invocation in invocations:
        for block in report(store, invocation, has_charts):
            found.append(replace(block, level=block.level + 1) if isinstance(block, Heading) else block)
    return found


def answers(store: Store, known: Known, seconds: float | None = None, cost: float | None = None) -> list[Block]:
    """Returns the answers that comparable records of several runs give, and names these runs.

    If `seconds` or a `cost` is given, all answers are about the best model for this time or this amount of money.
    """
    compared = [item for pattern in PATTERNS.values() for item in pattern.reports(store, known.records)]
    if seconds is not None or cost is not None:
        frontiers = [item for item in compared if isinstance(item, Frontier)]
        found = list(answers_to_questions([item.answer_for(seconds, cost) for item in frontiers]))
    else:
        found = list(_answers([one.answers() for one in compared], distinct_subjects(compared)))
    if not found:
        found = [Text("These records answer no question: see `sparkscale show`.")]
    return [*_hosts(store, known.records), *data_sets(store, known.records), *found, *_evidence(store, known)]


def _evidence(store: Store, known: Known) -> Iterator[Text]:
    runs = f"{'run' if len(known.runs) == 1 else 'runs'} {', '.join(known.runs)}"
    yield Text(
        f"Evidence: {count(len(known.records), 'record')} of {runs}. `--format json` lists the records behind each "
        "answer.",
        is_note=True,
    )
    if known.left_out:
        yield Text(
            f"{count(known.left_out, 'record')} of this data set are left out, because their host, package versions, "
            "Java, cluster profile, budget, page cache or workload version differ from those of the newest records.",
            is_note=True,
        )
    yield from _chosen([store.invocation(identity=run) for run in known.runs])


def _chosen(invocations: Iterable[Invocation]) -> Iterator[Text]:
    """Yields a caution if `decide` chose what to measure in some of these runs."""
    runs = [invocation.id for invocation in invocations if invocation.command == "decide"]
    if runs:
        yield Text(
            f"`sparkscale decide` chose what to measure in {'run' if len(runs) == 1 else 'runs'} {', '.join(runs)}, "
            "and stopped when its own verdicts were clear. The intervals and verdicts here ignore this, so those of "
            "`decide` are more cautious.",
            is_note=True,
        )


def breakdown(wall_seconds: float, spent: Iterable[tuple[str, float]], prices: Mapping[str, Price]) -> Text:
    """Returns a line with the parts of a run's wall time. `spent` lists activities and their seconds.

    `prices` holds the prices of the run's clusters. If there is one, the line also says what the run cost.
    """
    shares = {name: seconds / wall_seconds for name, seconds in spent}
    shares["else"] = 1 - sum(shares.values())
    names = {
        "phases": "inside phases",
        "starting": "starting workers, JVMs and sessions",
        "preparing": "preparing data",
        "else": "everything else",
    }
    parts = ", ".join(f"{shares[key]:.1%} {name}" for key, name in names.items())
    price = next(iter(prices.values())) if len(prices) == 1 else None
    cost = f" At the price of the cluster, it cost {price.words(price.of_seconds(wall_seconds))}." if price else ""
    return Text(f"Wall time {wall_seconds:.0f} s: {parts}.{cost}")


def _heading(store: Store, invocation: Invocation, records: Sequence[RunRecord]) -> Iterator[Block]:
    started = f"{invocation.started_at:%Y-%m-%d %H:%M}"
    if invocation.command == "import":
        yield Heading(f"{invocation.suite}, run {invocation.id}, imported {started} UTC", level=1)
        yield from _hosts(store, records)
        return
    yield Heading(f"suite {invocation.suite}, run {invocation.id}, {started} UTC", level=1)
    yield from _hosts(store, records)
    yield from _measured(store, records)
    yield from _chosen([invocation])


def _measured(store: Store, records: Sequence[RunRecord]) -> Iterator[Text]:
    """Yields a sentence with the clusters, the commit and the versions of a run. Nothing if nothing was measured."""
    measured = [record for record in metrics.latest(records) if not record.case.is_published]
    if not measured:
        return
    clusters = dict.fromkeys(record.case.cluster for record in measured)
    engines: dict[str, dict[str, dict[str, None]]] = defaultdict(lambda: {"node": {}, "spark": {}})
    for record in sorted(measured, key=lambda one: one.declared.position(one.case.engine)):
        work = record.case.workload.rpartition(".")[2].replace("_", " ")
        engines[work][record.case.placement][record.case.engine] = None
    rounds = len({record.round for record in measured})
    yield Text(f"Compared in {count(rounds, 'round')}: {'; '.join(_engines(engines))}.")
    kinds = dict.fromkeys(record.case.cluster_kind for record in measured if record.case.placement == "spark")
    yield from (Text(circumstances.KINDS[kind]) for kind in kinds if kind in circumstances.KINDS)
    codes = [record.code for record in records if record.code.commit]
    commits = dict.fromkeys(
        f"{code.commit[:8]}{' with changes' if code.dirty else ''}" for code in codes if code.commit
    )
    # records of engines on Spark come with a fuller description of the same packages
    versions = dict.fromkeys(_versions(store, records).values())
    parts = [
        f"{'cluster' if len(clusters) == 1 else 'clusters'} {named(list(clusters))}",
        *([f"sparkscale at commit {named(list(commits))}"] if commits else []),
        *versions,
    ]
    yield Text("; ".join(parts), is_note=True)


def _engines(by_work: Mapping[str, Mapping[str, Iterable[str]]]) -> Iterator[str]:
    """Yields the engines of each workload in words. Of more than MOST_NAMED workloads, only their numbers."""
    places = {"node": "on one node", "spark": "on Spark"}
    for work, by_placement in by_work.items():
        found = {place: list(by_placement[key]) for key, place in places.items() if by_placement[key]}
        if len(by_work) > MOST_NAMED:
            counted = [f"{count(len(names), 'engine')} {place}" for place, names in found.items()]
            yield f"{work} ({', '.join(counted)})"
        else:
            yield f"{work} by {' and '.join(f'{named(names)} {place}' for place, names in found.items())}"


def _hosts(store: Store, records: Sequence[RunRecord]) -> Iterator[Text]:
    if any(record.case.is_published for record in records):
        yield Text("measured and published by others")
    for identity in dict.fromkeys(record.host for record in records if not record.case.is_published):
        yield Text(f"on {circumstances.host(store.description(identity).content)}")


def distinct_subjects(compared: Sequence[Comparison]) -> list[str]:
    """Returns a text for each comparison: its subject.

    If several comparisons have the same subject, the text also states the parameters in which they differ.
    """
    by_subject: dict[str, list[Comparison]] = defaultdict(list)
    for comparison in compared:
        by_subject[comparison.subject].append(comparison)
    subjects = []
    for comparison in compared:
        others = [by_path(other.parameters) for other in by_subject[comparison.subject]]
        own = by_path(comparison.parameters)
        differing = [name for name in own if any(other.get(name) != own[name] for other in others)]
        words = ", ".join(f"{name} {own[name]}" for name in differing)
        subjects.append(f"{comparison.subject}, {words}" if words else comparison.subject)
    return subjects


def _answers(answered: Sequence[Sequence[Answer]], subjects: Sequence[str]) -> Iterator[Block]:
    """Yields all answers: first the answers to questions, then the other answers of each comparison."""
    by_subject = list(zip(subjects, answered, strict=True))
    if any(answers for _, answers in by_subject):
        yield Heading("Answers")
        yield from answers_to_questions([answer for _, answers in by_subject for answer in answers])
        yield from answers_by_subject(by_subject)


def _failed(records: Sequence[RunRecord], failures: Sequence[Problem]) -> Text:
    """Returns a sentence that says how many executions have no result, by outcome."""
    if not failures:
        return Text("Every measured case is ok.")
    outcomes: Counter[str] = Counter()
    for failure in failures:
        outcomes[failure.outcome] += failure.times
    every = len(metrics.latest(records))
    words = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    return Text(f"{outcomes.total()} of {count(every, 'execution')} have no result: {words}. See '{FAILURES}'.")


def _problems(title: str, problems_found: Sequence[Problem]) -> Grid:
    columns = (
        blocks.name("case"),
        blocks.name("fractions", priority=1),
        blocks.name("outcome"),
        Column("times", ","),
        blocks.prose("reason"),
    )
    rows = tuple(
        (
            problem.subject,
            ", ".join(map(show_fraction, problem.fractions)),
            problem.outcome,
            problem.times,
            problem.reason or None,
        )
        for problem in problems_found
    )
    return Grid(title, columns, rows)


def _missing(invocation: Invocation, records: Sequence[RunRecord]) -> Iterator[Block]:
    done = len({(r.case.id, r.round, r.isolated) for r in records if not r.is_warmup})
    if done < invocation.executions:
        yield Warning(
            f"{done} of {invocation.executions} executions were measured: go on with `sparkscale run --resume`."
        )


def _without_report(records: Sequence[RunRecord]) -> Iterator[Block]:
    """Yields a warning for each report that this release does not have, although records refer to it."""
    unknown_reports = Counter(record.declared.report for record in records if record.declared.report not in PATTERNS)
    for name, number in unknown_reports.items():
        yield Warning(f"{count(number, 'record')} cannot be shown: this sparkscale has no report '{name}'.")
