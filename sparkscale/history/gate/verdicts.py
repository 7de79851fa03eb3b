"""The verdicts of a gate: it looks at the rounds so far, and a verdict of an early look is final.

The looks, and the level that each may spend, are those of `sparkscale.analysis.questions.looks`. They are computed
anew from the records each time, so that a resumed gate decides the same. The base again (A′) is judged against the
base in the same way: its verdicts are noise alone.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sparkscale.analysis.blocks import Answer, Block, Heading, Text, Warning
from sparkscale.analysis.conditions import Reader
from sparkscale.analysis.questions.compare.compare import Compared, Key, compare, planned_tests
from sparkscale.analysis.questions.compare.outcomes import Finding
from sparkscale.analysis.questions.compare.parts import Limits
from sparkscale.analysis.questions.compare.report import answer
from sparkscale.analysis.questions.compare.report import report as tables
from sparkscale.analysis.questions.compare.row import Row
from sparkscale.analysis.questions.compare.side import Side, Subject
from sparkscale.analysis.questions.looks import fewest_planned, looks, until
from sparkscale.analysis.questions.two_sides import ALPHA
from sparkscale.contract.phrases import count, named, number
from sparkscale.contract.record import SHORT
from sparkscale.history.gate.arms import ArmRecords
from sparkscale.history.gate.measure import Arms, Decision, Measured
from sparkscale.store.store import Store

DIFFERENT = ("worse", "better", "different")
"""The verdicts that say that two sides differ."""
MOST_NAMED = 6
"""The largest number of cases that a sentence names."""


@dataclass(frozen=True)
class Looked:
    """The comparison of two arms after the last look, with the final verdicts of all looks.

    `after` holds the numbers of rounds after which a look took place, with their levels.
    """

    compared: Compared
    after: dict[int, float]

    @property
    def undecided(self) -> set[Subject]:
        """The cases that have a comparison without a verdict, or that failed more often, which may be chance."""
        rows = {row.subject for row in self.compared.rows if row.change == "not resolved"}
        return rows | {one.subject for one in self.compared.failing_more}


def look(base: Side, other: Side, complete: int, rounds: int, limits: Limits, is_last: bool) -> Looked | None:
    """Returns the verdicts after `complete` of all `rounds`. None before the first look.

    `is_last` is true if the gate ended here, such as at a time limit (see `looks.until`).
    """
    first = [_first(side, max(1, rounds // 2)) for side in (base, other)]  # so that the plan never changes
    planned = looks(rounds, ALPHA, max(1, planned_tests(first[0], first[1], limits)))
    after = until(planned, complete, is_last)
    decided: dict[Key, Row | Finding] = {}
    compared = None
    for done, level in after.items():
        sides = [_first(side, done) for side in (base, other)]
        compared = compare(sides[0], sides[1], limits=limits, alpha=level, decided=decided, across=False)
        # what depends on the seeds alone is not final: other seeds may differ
        decided |= {row.key: row for row in compared.rows if row.change != "not resolved" and not row.exact}
        decided |= {one.key: one for one in compared.findings if one.change in DIFFERENT}
    if compared is None:
        return None
    return Looked(replace(compared, fewest=fewest_planned(max(1, compared.planned_tests))), after)


def _first(side: Side, rounds: int) -> Side:
    """Returns the side with its first rounds only."""
    return replace(side, records=tuple(record for record in side.records if record.round <= rounds))


def decide(arms: Arms, complete: int, rounds: int) -> Decision:
    """Decides after each round which cases need more: those without a verdict, or all if no look took place yet."""
    if complete >= rounds:
        return Decision(frozenset())
    every = frozenset(record.case.experiment for record in (*arms.base.records, *arms.head.records))
    with ExitStack() as stack:
        base, head = (_side(stack, name, arm) for name, arm in (("base", arms.base), ("head", arms.head)))
        looked = look(base, head, complete, rounds, Limits(rules=arms.thresholds), is_last=False)
        if looked is None:
            return Decision(every)
        undecided = looked.undecided
        return Decision(
            frozenset(
                record.case.experiment
                for side in (base, head)
                for subject, records in side.by_subject.items()
                if subject in undecided
                for record in records
            )
        )


def _side(stack: ExitStack, name: str, arm: ArmRecords) -> Side:
    """Opens the store of an arm, and returns its records as a side."""
    store = stack.enter_context(Store.existing(arm.folder))
    return Side(name, arm.records, Reader(store, {arm.run: store.invocation(identity=arm.run)}))


@dataclass(frozen=True)
class Judged:
    """A gate with its verdicts: the head against the base, and the base again against the base, which is noise.

    `blocks` is the report.
    """

    head: Looked
    noise: Looked
    blocks: tuple[Block, ...]
    has_missing_cases: bool

    @property
    def is_worse(self) -> bool:
        return bool(self.head.compared.worse)

    @property
    def is_too_little(self) -> bool:
        """True if too little was measured to say that nothing is worse."""
        return self.has_missing_cases or self.head.compared.is_incomplete


def judged(measured: Measured) -> Judged:
    """Returns the verdicts and the report of a gate that ended."""
    state, arms = measured.state, measured.arms
    limits = Limits(rules=arms.thresholds)
    with ExitStack() as stack:
        name = f"{state.base_revision} ({state.base[:SHORT]})"
        base = _side(stack, name, arms.base)
        changed = " with changes" if state.head.dirty else ""
        head = _side(stack, f"the head ({str(state.head.commit)[:SHORT]}{changed})", arms.head)
        again = _side(stack, f"{name} again", arms.again)
        is_last = bool(measured.decision.undecided) or measured.rounds == state.rounds
        both = [look(base, side, measured.rounds, state.rounds, limits, is_last) for side in (head, again)]
        of_head, noise = (looked for looked in both if looked is not None)
        blocks = tuple(_report(measured, of_head, noise))
    return Judged(of_head, noise, blocks, bool(state.missing_on_head))


def _report(measured: Measured, head: Looked, noise: Looked) -> Iterator[Block]:
    """Yields the report: the answer, how far to trust it, what is missing, and the tables."""
    state = measured.state
    yield Heading(f"Gate: {head.compared.head.name} against {head.compared.base.name}", level=1)
    yield answer(head.compared)
    yield Text(measured.stopped)
    yield _of_noise(noise.compared)
    if state.is_same_code:
        yield Text("Base and head are the same code: every verdict but `same` is noise.")
    for missing in state.missing_on_base:
        yield Warning(f"Not compared, because the base does not know it: {missing.case} ({missing.reason}).")
    for missing in state.missing_on_head:
        yield Warning(f"Only the base has a case: {missing.case}.")
    yield Text(_looks(head.after), is_note=True)
    yield from (block for block in tables(head.compared) if not (isinstance(block, Answer) or _is_title(block)))


def _is_title(block: Block) -> bool:
    return isinstance(block, Heading) and block.level == 1


def _looks(after: dict[int, float]) -> str:
    """Returns when the gate tested, and at which level each time."""
    times = named([f"{rounds} (level {number(level, 2)})" for rounds, level in after.items()])
    if len(after) == 1:
        return f"The verdicts were tested after these rounds: {times}."
    return (
        f"The verdicts were tested after these rounds: {times}. A comparison that was decided was not tested again: "
        "its p and its intervals have the level of its test. "
        f"The levels add up to {sum(after.values()):.2g}, so that several tests make no more false verdicts than one."
    )


def _of_noise(compared: Compared) -> Text | Warning:
    """Returns what the noise of the machine alone did: the verdicts on the base again."""
    false = [*compared.worse, *compared.better, *compared.with_change("different")]
    rows = count(len(compared.rows), "comparison")
    if not false:
        same, short = len(compared.with_change("same")), len(compared.without_enough_rounds)
        cannot = f" {short} had too few rounds for any verdict." if short else ""
        return Text(
            f"The base against itself, which shows the noise of this machine: no false verdict in {rows}, of which "
            f"{same} are the same.{cannot}"
        )
    names = named([f"{one.subject.label()} ({what(one)}: {one.change})" for one in false], MOST_NAMED, "; ")
    return Warning(
        f"The noise of this machine alone made {count(len(false), 'false verdict')} in {rows} of the base against "
        f"itself: {names}. Do not trust single verdicts of this run."
    )


def what(one: Row | Finding) -> str:
    """Returns what a verdict is about: a metric, or how executions ended."""
    return one.metric if isinstance(one, Row) else "outcomes"
