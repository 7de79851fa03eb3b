"""The report of a run as blocks, for `sparkscale show`. Answers come first, then tables."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from sparkscale.analysis import blocks, circumstances, heap_report
from sparkscale.analysis.answered import answers_by_subject, answers_to_questions
from sparkscale.analysis.blocks import Block, Column, Grid, Heading, Text, Warning
from sparkscale.analysis.data_sets import data_sets
from sparkscale.analysis.goals import goals
from sparkscale.analysis.known import Known
from sparkscale.analysis.patterns import PATTERNS
from sparkscale.analysis.patterns.data_parallel.frontier import Frontier
from sparkscale.analysis.patterns.protocol import Comparison
from sparkscale.analysis.price import Price
from sparkscale.analysis.problems import Problem, problems
from sparkscale.contract.case import by_path, show_fraction
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store


def report(store: Store, invocation: Invocation, has_charts: bool = False) -> list[Block]:
    """Returns all blocks of the report of one run. If `has_charts` is true, charts come before the tables."""
    records = store.records(invocation.id)
    report_blocks: list[Block] = [*_heading(store, invocation, records), *data_sets(store, records)]
    if invocation.command == "heap":
        return [*report_blocks, *heap_report.search(records)]
    comparisons = [item for pattern in PATTERNS.values() for item in pattern.reports(store, records)]
    failures = problems(records)
    report_blocks += [] if failures else [Text("Every measured case is ok.")]
    report_blocks += _missing(invocation, records)
    subjects = distinct_subjects(comparisons)
    report_blocks += _answers(comparisons, subjects)
    report_blocks += _problems(failures) if failures else []
    report_blocks += goals(invocation.goals, records)
    for comparison, subject in zip(comparisons, subjects, strict=True):
        shown = [*(comparison.charts() if has_charts else []), *comparison.blocks()]
        report_blocks += [Heading(subject), *shown] if shown else []
    return [*report_blocks, *_without_report(records)]


def answers(store: Store, known: Known, seconds: float | None = None, cost: float | None = None) -> list[Block]:
    """Returns the answers that comparable records of several runs give, and names these runs.

    If `seconds` or a `cost` is given, all answers are about the best model for this time or this amount of money.
    """
    compared = [item for pattern in PATTERNS.values() for item in pattern.reports(store, known.records)]
    if seconds is not None or cost is not None:
        frontiers = [item for item in compared if isinstance(item, Frontier)]
        found = list(answers_to_questions([item.answer_for(seconds, cost) for item in frontiers]))
    else:
        found = list(_answers(compared, distinct_subjects(compared)))
    if not found:
        found = [Text("These records answer no question: see `sparkscale show`.")]
    return [*_hosts(store, known.records), *data_sets(store, known.records), *found, *_evidence(known)]


def _evidence(known: Known) -> Iterator[Text]:
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


def _hosts(store: Store, records: Sequence[RunRecord]) -> Iterator[Text]:
    if any(record.case.is_published for record in records):
        yield Text("measured and published by others")
    for identity in dict.fromkeys(record.host for record in records if not record.case.is_published):
        host = store.description(identity).content
        cores, memory = circumstances.cores(host), host["memory_bytes"] / 2**30
        gpus = Counter(device["name"] for device in host.get("gpus", []))
        named = "".join(f", {number} × {name}" for name, number in gpus.items())
        yield Text(f"on {host['cpu']}, {cores}, {memory:.0f} GiB, {host['os']}{named}")


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


def _answers(compared: Sequence[Comparison], subjects: Sequence[str]) -> Iterator[Block]:
    """Yields all answers: first the answers to questions, then the other answers of each comparison."""
    by_subject = [(subject, comparison.answers()) for subject, comparison in zip(subjects, compared, strict=True)]
    if any(answers for _, answers in by_subject):
        yield Heading("Answers")
        yield from answers_to_questions([answer for _, answers in by_subject for answer in answers])
        yield from answers_by_subject(by_subject)


def _problems(problems_found: Sequence[Problem]) -> Iterator[Block]:
    yield Heading("Cases without a result")
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
    yield Grid("Each case, and why it has none", columns, rows)


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
