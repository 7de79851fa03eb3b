"""The end of `decide`: the answers, what stayed open and how long it would take, and what was measured for it."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sparkscale.analysis.answered import answers_to_questions
from sparkscale.analysis.blocks import Answer, Block, Heading, Text
from sparkscale.analysis.duration import amount
from sparkscale.analysis.patterns.data_parallel import answers
from sparkscale.analysis.questions.decide.grid import CLUSTER, ENGINE, SAMPLE, WORKERS, GridCell, Standing
from sparkscale.contract.phrases import certainty, count, named
from sparkscale.contract.record import RunRecord
from sparkscale.decide.grid import executions_of, is_needed
from sparkscale.decide.loop import Decided

TITLES = {
    SAMPLE: answers.SAMPLE,
    ENGINE: answers.NODE,
    CLUSTER: answers.SPARK,
    WORKERS: "How many workers?",
}
"""The questions in words, as in every report."""


def blocks(decided: Decided, resume_command: str) -> list[Block]:
    """Returns the report of a run of `decide`, the answers first."""
    standings = sorted(decided.standings, key=lambda one: not one.is_resolved)
    shown: list[Block] = [
        Heading("Answers"),
        *answers_to_questions([_answer(standing, _scope(decided)) for standing in standings]),
    ]
    shown += _open(decided, resume_command)
    if reasons := left_out(decided):
        shown.append(Heading("Engines without a result"))
        shown += [Text(f"{engine}: {reason}") for engine, reason in reasons.items()]
    shown += [Heading("Measured"), Text(_measured(decided)), *(Text(note) for note in decided.notes)]
    return shown


def _scope(decided: Decided) -> str:
    """Returns the data and the clusters in words."""
    data = next((record.case.dataset for record in decided.records), f"suite {decided.invocation.suite}")
    clusters = list(dict.fromkeys(cell.cluster for cell in decided.cells))
    return f"{data}, {'cluster' if len(clusters) == 1 else 'clusters'} {named(clusters)}"


def _answer(standing: Standing, scope: str) -> Answer:
    return Answer(
        standing.text,
        standing.verdict,
        standing.records,
        question=TITLES[standing.question],
        subject=standing.subject,
        scope=scope,
    )


def _open(decided: Decided, resume_command: str) -> Iterator[Block]:
    """Yields what stayed open, and the command to go on. Nothing if every question is resolved."""
    unresolved = [standing for standing in decided.standings if not standing.is_resolved]
    if not unresolved:
        return
    yield Heading("Not resolved")
    for standing in unresolved:
        subject = f" ({standing.subject})" if standing.subject else ""
        sentences = [standing.doubt, standing.to_resolve and f"To resolve it: {standing.to_resolve}"]
        text = " ".join(part if part[-1] in "?." else f"{part}." for part in sentences if part)
        yield Text(f"{standing.question}{subject}: {text}")
    if any(standing.seconds_to_resolve for standing in unresolved):
        yield Text("Go on with all that was measured, and with a new time limit:")
        yield Text(resume_command, is_code=True)


def left_out(decided: Decided) -> dict[str, str]:
    """Returns the engines without a result, by their names, with the reason.

    Engines that no question is about are left out.
    """
    by_engine: dict[str, list[GridCell]] = {}
    for cell in decided.cells:
        if not is_needed(cell, decided.invocation.questions):
            continue
        by_engine.setdefault(cell.engine, []).append(cell)
    reasons = {}
    for engine, cells in by_engine.items():
        records = [one for one in decided.records if one.case.engine == engine and not one.is_warmup]
        if any(record.outcome == "ok" for record in records):
            continue
        reasons[engine] = _reason(cells, records)
    return reasons


def _reason(cells: Sequence[GridCell], records: Sequence[RunRecord]) -> str:
    tried = [record for record in records if record.outcome != "unsupported"]
    if tried:
        last = tried[-1]
        message = last.error.message.splitlines()[0] if last.error and last.error.message else ""
        return f"{last.outcome} on {last.case.rows:,} rows. {message}".strip()
    if all(cell.unsupported for cell in cells):
        return cells[0].unsupported
    return "it was not measured, because the time was too short or another engine decided the questions"


def _executions(decided: Decided) -> tuple[int, int]:
    """Returns the number of executions that were measured, and the number in the whole grid."""
    keys = {(cell.cluster, cell.key) for cell in decided.cells if not cell.unsupported}
    done = {
        (record.case.id, record.round)
        for record in decided.records
        if not record.is_warmup and not record.is_cut and (record.case.cluster, record.case.experiment) in keys
    }
    return len(done), executions_of(decided.cells)


def _measured(decided: Decided) -> str:
    done, every = _executions(decided)
    share = certainty(done / every) if done < every else "all"
    stopped = f" It stopped because {decided.stopped}." if decided.stopped else ""
    return (
        f"{count(done, 'execution')} of the {every:,} that a run of the whole suite has ({share}), in "
        f"{amount(decided.seconds)} of {amount(decided.within_seconds)}.{stopped} Run {decided.invocation.id}."
    )


def as_json(decided: Decided) -> str:
    """Returns the answers and what was measured as one JSON object."""
    done, every = _executions(decided)
    content: dict[str, Any] = {
        "run": decided.invocation.id,
        "suite": decided.invocation.suite,
        "confidence": decided.invocation.confidence,
        "resolved": decided.is_resolved,
        "questions": [
            {
                "question": standing.question,
                "subject": standing.subject,
                "verdict": standing.verdict,
                "choice": standing.choice,
                "text": standing.text,
                "doubt": standing.doubt,
                "to_resolve": standing.to_resolve,
                "seconds_to_resolve": standing.seconds_to_resolve,
                "records": list(standing.records),
            }
            for standing in decided.standings
        ],
        "without_result": left_out(decided),
        "executions": done,
        "executions_of_suite": every,
        "seconds": round(decided.seconds, 1),
        "within_seconds": decided.within_seconds,
        "stopped": decided.stopped,
        "notes": list(decided.notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False)
