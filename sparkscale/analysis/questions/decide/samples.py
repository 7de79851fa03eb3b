"""Is a sample enough for the fastest engine on one node?"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.blocks import Verdict
from sparkscale.analysis.duration import amount
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.patterns.data_parallel.comparison import SampleAnswer
from sparkscale.analysis.questions.decide import choices
from sparkscale.analysis.questions.decide.engines import Nodes
from sparkscale.analysis.questions.decide.field import Track
from sparkscale.analysis.questions.decide.grid import SAMPLE, GridCell, Piece, Standing
from sparkscale.analysis.questions.decide.situation import Need, Situation, State
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import certainty, count

HOPELESS = 3.0
"""A fraction is not repeated if it gives up more than this multiple of the tolerance, and it is not near."""


@dataclass(frozen=True)
class Samples:
    """The fractions of one engine, judged against all data."""

    situation: Situation
    nodes: Nodes

    @property
    def lead(self) -> Track | None:
        """The engine that the question is about: the fastest on one node."""
        return self.nodes.lead

    @cached_property
    def full(self) -> GridCell | None:
        """All data of the engine. None if the grid does not have it, or if it failed."""
        cell = self.lead.cell(1.0) if self.lead else None
        if cell is None or cell.unsupported or self.situation.evidence.failure(cell.key):
            return None
        return cell

    @cached_property
    def smaller(self) -> list[GridCell]:
        """The engine's cells with fewer rows, in ascending order."""
        cells = self.lead.cells if self.lead else ()
        return [cell for cell in cells if cell.fraction < 1 and not cell.unsupported]

    def step(self, cell: GridCell) -> Step | None:
        """Returns the quality that a fraction gives up, at the last look. None before the first look.

        The verdict of a look uses the rounds up to this look only. So more rounds between two looks are no chance of
        a false verdict.
        """
        assert self.full is not None
        levels = self.situation.levels
        every = self.situation.evidence.gives_up(self.full.key, cell.key)
        seeds = every.estimate.seeds if every else 0
        look = max((look for look in levels.sample_looks if look <= seeds), default=0)
        if not look:
            return None
        step = self.situation.evidence.gives_up(self.full.key, cell.key, look)
        return None if step is None else Step(step.fraction, step.estimate, step.tolerance, levels.of_samples)

    @cached_property
    def answer(self) -> SampleAnswer:
        """The smallest fraction that is enough, from the largest down."""
        steps = {cell.fraction: self.step(cell) for cell in self.smaller}
        judged = [step for step in steps.values() if step is not None]
        largest = max(steps, default=0.0)
        return SampleAnswer.of(judged if steps.get(largest) else [])

    @cached_property
    def open(self) -> Step | None:
        """The fraction at which the search stopped without a verdict. None if there is none."""
        step = self.answer.failed
        return step if step is not None and step.verdict == "not resolved" else None

    @property
    def verdict(self) -> Verdict:
        if self.answer.is_enough:
            return "yes"
        # SampleAnswer.is_too_little assumes that 1/2 is the largest sample
        return "no" if self.answer.is_too_little else "not resolved"

    def needs(self) -> Iterator[Need]:
        """Yields the next round of all data and of the fractions that may still be enough."""
        if self.lead is None or self.full is None or not self.smaller:
            return
        until = self._until()
        pieces = [self.situation.further(self.lead, cell.fraction) for cell in (*self._worthwhile(), self.full)]
        missing = [piece for piece in pieces if piece and piece.round <= until]
        if missing:
            number = min(piece.round for piece in missing)
            kept = tuple(piece for piece in missing if piece.round == number)
            seconds = (until - number + 1) * self.situation.seconds(kept)
            reason = f"is a sample enough for {self.lead.engine}? round {number}"
            yield Need(kept, 0.5 if self.nodes.open else 1.0, seconds, reason)

    def _worthwhile(self) -> list[GridCell]:
        """Returns the fractions to measure: those that are not below one that is too few."""
        steps = {cell.fraction: self._so_far(cell) for cell in self.smaller}
        too_few = [f for f, step in steps.items() if step and step.estimate.value > HOPELESS * step.tolerance]
        nearest = max(too_few, default=0.0)
        return [cell for cell in self.smaller if cell.fraction >= nearest]

    def _so_far(self, cell: GridCell) -> Step | None:
        return self.situation.evidence.gives_up(self.full.key, cell.key) if self.full else None

    def _until(self) -> int:
        """Returns the number of the round after which the next look takes place. 0 if no further look helps."""
        assert self.full is not None
        looks = self.situation.levels.sample_looks
        if self.open is None:
            return looks[0] if self.answer.step is None or not self._is_complete() else 0
        seeds = self.open.estimate.seeds
        if not self._is_near(self.open):
            return seeds
        return next((look for look in looks if look > seeds), seeds)

    def _is_complete(self) -> bool:
        """Returns true if each worthwhile fraction was judged."""
        return all(self.step(cell) is not None for cell in self._worthwhile())

    def _is_near(self, step: Step) -> bool:
        """Returns true if the rounds of the grid may resolve a fraction."""
        estimate = step.estimate
        if estimate.interval is None or self.full is None:
            return False
        needed = estimate.seeds_to_resolve(step.tolerance, step.level)
        return needed is not None and needed <= self.full.rounds

    # The answer

    def state(self) -> State:
        """Returns where the question stands."""
        if self.lead is None:
            return State(
                self._standing("not resolved", "", "No engine on one node has a time.", "nothing is known yet")
            )
        if not self.smaller or self.lead.cell(1.0) is None:
            text = "The grid has no sample and all data of one engine, so no sample can be judged."
            return State(self._standing("not resolved", "", text, "the grid has no sample"))
        if self.full is None:
            text = f"{self.lead.engine} cannot train on all data, so no sample can be judged."
            return State(self._standing("not resolved", "", text, "all data has no result"))
        verdict, step = self.verdict, self.answer.step
        needs = () if verdict != "not resolved" and self.open is None else tuple(self.needs())
        choice = ""
        if verdict != "not resolved" and step:
            choice = choices.of_sample(self.lead.engine, step.fraction if verdict == "yes" else None)
        if needs and verdict == "yes":
            # a fraction is enough: whether a smaller one is enough, too, is worth less
            needs = tuple(Need(need.pieces, 0.3, need.to_resolve, need.reason) for need in needs)
        to_resolve, seconds = ("", None) if verdict != "not resolved" else self._to_resolve(needs)
        doubt = self._doubt(step) if verdict == "not resolved" else ""
        return State(self._standing(verdict, choice, self._text(step), doubt, to_resolve, seconds), needs)

    def _text(self, step: Step | None) -> str:
        assert self.lead is not None
        if step is None:
            rounds = self.situation.levels.sample_looks[0]
            return f"For {self.lead.engine}, a sample is judged after {count(rounds, 'round')}."
        fraction = show_fraction(step.fraction)
        kind = {"enough": "is enough", "not enough": "is too few"}.get(step.verdict, "is not resolved")
        text = f"For {self.lead.engine}, {fraction} of the rows {kind}."
        criterion = self.situation.evidence.criterion(self.lead.cells[0].key)
        interval = step.interval
        if criterion is None or interval is None or step.confidence is None:
            reason = step.estimate.why_none
            return f"{text[:-1]}: {reason}." if reason else text
        value, low, high = (
            criterion.show_given_up(one) for one in (step.estimate.value, interval.low, interval.high)
        )
        return (
            f"{text} It gives up {value} ({low} to {high}) of {criterion.name} against all rows, in "
            f"{count(step.estimate.seeds, 'round')}. The confidence that this is at most the tolerated "
            f"{criterion.tolerated} is {certainty(step.confidence)}."
        )

    def _doubt(self, step: Step | None) -> str:
        assert self.full is not None
        if step is None:
            done, needed = (
                len(self.situation.evidence.attempted(self.full.key)),
                self.situation.levels.sample_looks[0],
            )
            return f"{done} of {count(needed, 'round')}" if done < needed else "no scores to compare"
        criterion = self.situation.evidence.criterion(self.full.key)
        if criterion is None or step.interval is None:
            return step.estimate.why_none
        value, low, high = (
            criterion.show_given_up(one) for one in (step.estimate.value, step.interval.low, step.interval.high)
        )
        return f"{show_fraction(step.fraction)}: {value} ({low} to {high}), {count(step.estimate.seeds, 'round')}"

    def _to_resolve(self, needs: tuple[Need, ...]) -> tuple[str, float | None]:
        step = self.answer.step
        if step is not None and step.verdict == "not enough":
            return f"a suite with a larger sample than {show_fraction(step.fraction)}, such as 1/2", None
        if needs:
            seconds = sum(need.to_resolve for need in needs)
            return f"more rounds: about {amount(seconds)} more", seconds
        if step is None or step.estimate.why_none or step.estimate.is_limited_by_units(step.tolerance):
            return "a larger hold-out, with more units: more rounds alone would not resolve it", None
        needed = step.estimate.seeds_to_resolve(step.tolerance, step.level)
        if needed is None or self.lead is None or self.full is None:
            return "nothing more: the fraction gives up about as much as is tolerated", None
        cells = [self.full, *(cell for cell in self.smaller if cell.fraction == step.fraction)]
        missing = max(1, needed - step.estimate.seeds)
        seconds = missing * self.situation.seconds([Piece(cell, 1) for cell in cells])
        return f"{count(needed, 'round')}: about {amount(seconds)} more", seconds

    def _standing(
        self,
        verdict: Verdict,
        choice: str,
        text: str,
        doubt: str,
        to_resolve: str = "",
        seconds: float | None = None,
    ) -> Standing:
        keys = [cell.key for cell in self.lead.cells] if self.lead else []
        records = self.situation.evidence.records(keys)
        return Standing(SAMPLE, verdict, choice, text, doubt, records, to_resolve, seconds, self.situation.name)
