"""Verdicts on the time to model of each case: the head against the base, and the base again against the base."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sparkscale.analysis import blocks
from sparkscale.analysis.blocks import Block
from sparkscale.analysis.metrics import latest, time_to_model, timed
from sparkscale.analysis.questions.two_sides import Change, Difference, change, difference, holm
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.history.gate.measure import Arms, Decision, Measured

CHANGES: tuple[Change, ...] = ("worse", "better", "same", "not resolved")


@dataclass(frozen=True)
class Verdict:
    """The verdict on one case. `difference` is None if a side has no result."""

    name: str
    change: Change
    difference: Difference | None
    rounds: tuple[int, int]

    @property
    def has_too_few_rounds(self) -> bool:
        """True if no result of so few rounds could be significant."""
        return self.change == "not resolved" and (self.difference is None or self.difference.interval is None)


def verdicts(base: Sequence[RunRecord], other: Sequence[RunRecord]) -> list[Verdict]:
    """Returns the verdict on each case that the base has. A case that has a result on the base only is worse.

    A case that the other side did not measure is not resolved.
    """
    own, its = _by_case(base), _by_case(other)
    seconds = {
        case: tuple([time_to_model(record) for record in timed(side.get(case, []))] for side in (own, its))
        for case in own
    }
    differences = {case: difference(*both) for case, both in seconds.items() if all(both)}
    p_values = dict(zip(differences, holm([one.p for one in differences.values()]), strict=True))
    made = []
    for case, (before, after) in seconds.items():
        verdict: Change = "worse" if before and case in its and not after else "not resolved"
        if case in differences:
            verdict = change(differences[case], p_values[case])
        rounds = len(before), len(after)
        made.append(Verdict(own[case][0].case.label, verdict, differences.get(case), rounds))
    return made


def _by_case(records: Sequence[RunRecord]) -> dict[str, list[RunRecord]]:
    """Returns the last records of each case, by a key of the case. Cases that are not timed are left out."""
    grouped: dict[str, list[RunRecord]] = defaultdict(list)
    for record in latest(records):
        if not record.isolated and record.outcome != "unsupported":
            grouped[record.case.subject_key("engine", "fraction", "threads")].append(record)
    return grouped


def decide(arms: Arms, complete_rounds: int, rounds: int) -> Decision:
    """Decides after all rounds: earlier looks would make more false verdicts."""
    records = () if complete_rounds >= rounds else (*arms.base.records, *arms.head.records)
    return Decision(frozenset(record.case.experiment for record in records))


def is_worse(measured: Measured) -> bool:
    """Returns true if the head is worse than the base in any case."""
    return any(one.change == "worse" for one in verdicts(measured.arms.base.records, measured.arms.head.records))


def is_too_little(measured: Measured) -> bool:
    """Returns true if cases are missing on the head, or if any case has too few rounds for a verdict."""
    made = verdicts(measured.arms.base.records, measured.arms.head.records)
    return bool(measured.state.missing_on_head) or not made or any(one.has_too_few_rounds for one in made)


def report(measured: Measured) -> Iterator[Block]:
    """Yields the report of a gate."""
    state = measured.state
    made = verdicts(measured.arms.base.records, measured.arms.head.records)
    noise = verdicts(measured.arms.base.records, measured.arms.again.records)
    yield blocks.Heading("Gate", level=1)
    yield blocks.Text(f"Base {state.base_revision}: commit {state.base}. Head: {state.head}. {measured.stopped}")
    if state.is_same_code:
        yield blocks.Text("Base and head are the same commit: every verdict but `same` is noise.")
    yield blocks.Text(f"Head against base: {_counted(made)}.")
    yield blocks.Text(f"The base against itself, which is noise alone: {_counted(noise)}.")
    for missing in state.missing_on_base:
        yield blocks.Warning(f"Not compared, because the base does not know it: {missing.case} ({missing.reason}).")
    for missing in state.missing_on_head:
        yield blocks.Warning(f"Missing on the head: {missing.case}.")
    columns = (
        blocks.name("case"),
        blocks.name("verdict"),
        blocks.Column("head / base", ".2f"),
        blocks.name("rounds"),
    )
    yield blocks.Grid(
        "time to model",
        columns,
        tuple(
            (
                one.name,
                one.change,
                one.difference.ratio if one.difference else None,
                f"{one.rounds[0]}, {one.rounds[1]}",
            )
            for one in sorted(made, key=lambda one: (CHANGES.index(one.change), one.name))
        ),
    )


def _counted(made: Sequence[Verdict]) -> str:
    numbers = Counter(one.change for one in made)
    named = [f"{numbers[change]} {change}" for change in CHANGES if numbers[change]]
    return f"{', '.join(named) or 'no verdict'} of {count(len(made), 'case')}"
