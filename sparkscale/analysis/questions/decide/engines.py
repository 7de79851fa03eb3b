"""Which engine is the fastest on one node, among those with a model that is not worse?"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.crossed import FEWEST_SEEDS
from sparkscale.analysis.duration import amount
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.questions.decide import choices
from sparkscale.analysis.questions.decide.field import Track
from sparkscale.analysis.questions.decide.grid import ENGINE, Piece, Standing
from sparkscale.analysis.questions.decide.situation import Need, Situation, State
from sparkscale.analysis.questions.decide.times import Difference, slower
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import count, named

HOPE = 1.0
"""A comparison is given up only if it needs too many rounds even if the ratio is larger by this many errors."""
CLEARLY = 0.8
"""The level of the interval that shows whether a model is clearly as good as another one (see `is_settled`)."""

NOT_KNOWN = "not known yet"
"""Stands in place of a ratio with a very wide interval."""


@dataclass(frozen=True)
class Rival:
    """The comparison of a rival with the fastest engine. `difference` is None if nothing can be compared yet."""

    track: Track
    difference: Difference | None
    is_beaten: bool


@dataclass(frozen=True)
class Nodes:
    """The engines on one node."""

    situation: Situation

    @cached_property
    def failed(self) -> dict[Track, str]:
        """The engines that cannot take part, each with the reason."""
        tracks = self.situation.subject.node
        return {track: why for track in tracks if (why := self.situation.failure(track))}

    @cached_property
    def running(self) -> list[Track]:
        """The engines that can take part."""
        return [track for track in self.situation.subject.node if track not in self.failed]

    @cached_property
    def fraction(self) -> float:
        """The fraction that the question is about: the largest one on which an engine may have a time."""
        return self.situation.fraction(self.running)

    def level(self, look: int) -> float:
        """Returns the one-sided level of a look at the comparison of two engines.

        One half is for comparisons of measured times, and the other half for forecasts.
        """
        return self.situation.levels.of_times(2 * len(self.situation.subject.node), look)

    # The quality of models

    def gives_up(self, track: Track, other: Track) -> Step | None:
        """Returns the quality that an engine's model gives up against another's, on the largest common fraction."""
        for cell in reversed(track.cells):
            whole = other.cell(cell.fraction)
            if whole is None:
                continue
            step = self.situation.evidence.gives_up(whole.key, cell.key)
            if step is not None:
                return step
        return None

    @cached_property
    def worse(self) -> dict[Track, Step]:
        """The engines with a model that is shown to be worse than another one by more than is tolerated."""
        level = self.situation.levels.of_quality(len(self.situation.subject.node))
        shown = {}
        for track in self.running:
            for other in self.running:
                step = self.gives_up(track, other) if other is not track else None
                if step and step.fraction == self.fraction and is_worse(step, level):
                    shown[track] = step
        return shown

    def doubts(self, track: Track) -> Iterator[tuple[Track, Step | None]]:
        """Yields each other engine with a model that may be better by more than is tolerated.

        Engines without stored scores raise no doubt, and neither do those that ran into a time limit.
        """
        for other in self.running:
            if other is track or other in self.worse or self.situation.clock(other).is_stopped(self.fraction):
                continue
            criterion = self.situation.evidence.criterion(track.cells[0].key)
            if criterion is not None and not criterion.judged.estimator:
                continue
            step = self.gives_up(track, other)
            measured = all(self.situation.clock(one).by_fraction for one in (track, other))
            if step is None and not measured:
                yield other, None
            elif step is not None and not is_settled(step, self.fraction):
                yield other, step

    # Their times

    @cached_property
    def candidates(self) -> list[Track]:
        """The engines with a time, the fastest first. Engines with a worse model, or a timeout, are left out.

        Some may have too few sizes for a time on the fraction of the question. They are sorted by the time that they
        exceed.
        """
        timed = []
        for track in self.running:
            clock = self.situation.clock(track)
            time = clock.at(self.fraction) or clock.floor(self.fraction)
            if time and clock.by_fraction and track not in self.worse and not clock.is_stopped(self.fraction):
                timed.append((time.centre, track))
        return [track for _, track in sorted(timed, key=lambda pair: pair[0])]

    @cached_property
    def lead(self) -> Track | None:
        """The fastest engine so far. None if none has a time."""
        return self.candidates[0] if self.candidates else None

    @cached_property
    def rivals(self) -> list[Rival]:
        """The comparisons of the fastest engine with each other one."""
        if self.lead is None:
            return []
        rivals = [track for track in self.running if track is not self.lead and track not in self.worse]
        return [self._rival(track, self.lead) for track in rivals]

    def _rival(self, track: Track, lead: Track) -> Rival:
        clocks = self.situation.clock(track), self.situation.clock(lead)
        difference = slower(*clocks, self.fraction, self.level)
        return Rival(track, difference, difference is not None and difference.is_above)

    @cached_property
    def open(self) -> list[Rival]:
        """The comparisons that are not beyond doubt."""
        return [rival for rival in self.rivals if not rival.is_beaten]

    @property
    def is_resolved(self) -> bool:
        """True if the fastest engine is known. It must have a time on the fraction that the question is about."""
        return self.is_measured and not self.open and self.lead is not None and not any(self.doubts(self.lead))

    @property
    def is_measured(self) -> bool:
        """True if the fastest engine so far has a time on the fraction of the question."""
        return self.lead is not None and self.situation.clock(self.lead).reach >= self.fraction > 0

    # What to measure

    def needs(self) -> Iterator[Need]:
        """Yields what would bring the question closer to an answer."""
        untried = [track for track in self.running if not self.situation.clock(track).by_fraction]
        parts = 1 + len(untried) + len(self.open) + (len(list(self.doubts(self.lead))) if self.lead else 0)
        for track in untried:
            if pieces := self.situation.upwards(track, self.fraction):
                seconds = self.situation.seconds(pieces)
                yield Need(pieces, 1 / parts, seconds, f"{track.engine} for the first time")
        if self.lead is None:
            return
        if not self.is_measured and (pieces := self.situation.upwards(self.lead, self.fraction)):
            reason = f"{self.lead.engine}, the fastest so far, with more rows"
            yield Need(pieces, 1 / parts, self.situation.seconds(pieces), reason)
        for rival in self.open:
            if rival.track not in untried and not self.is_hopeless(rival):
                yield from self._to_compare(rival, self.lead, 1 / parts)
        for other, step in self.doubts(self.lead):
            if other not in untried:
                yield from self._to_judge(other, self.lead, step, 1 / parts)

    def _to_compare(self, rival: Rival, lead: Track, share: float) -> Iterator[Need]:
        """Yields the pieces that a comparison of times needs: the fastest engine first, on all rows."""
        situation = self.situation
        for track in (lead, rival.track):
            pieces = situation.upwards(track, self.fraction)
            if pieces and situation.clock(track).reach < self.fraction:
                reason = f"is {rival.track.engine} faster than {lead.engine} with more rows?"
                yield Need(pieces, share, situation.seconds(pieces), reason)
                return
        pieces = situation.repeated([rival.track, lead], self.fraction)
        if pieces:
            reason = f"{rival.track.engine} and {lead.engine} are close: round {pieces[0].round}"
            seconds = self.seconds_of(rival) or situation.seconds(pieces)
            yield Need(pieces, share, seconds, reason)

    def _to_judge(self, other: Track, lead: Track, step: Step | None, share: float) -> Iterator[Need]:
        """Yields the pieces that a comparison of models needs: on more rows, then in more rounds."""
        situation = self.situation
        reason = f"is {lead.engine}'s model worse than {other.engine}'s?"
        common = step.fraction if step else 0.0
        if common < self.fraction:
            for track in (lead, other):
                pieces = situation.upwards(track, self.fraction)
                if pieces and situation.clock(track).reach < self.fraction:
                    yield Need(pieces, share, situation.seconds(pieces), reason)
                    return
        pieces = situation.repeated([lead, other], self.fraction)
        if pieces and (step is None or step.estimate.seeds < situation.subject.rounds):
            yield Need(pieces, share, 2 * situation.seconds(pieces), reason)

    def rounds_of(self, rival: Rival, hope: float = 0.0) -> int | None:
        """Returns the number of rounds with which a comparison would be beyond doubt. None if no number is known."""
        return rival.difference.rounds_needed(hope) if rival.difference else None

    def is_hopeless(self, rival: Rival) -> bool:
        """Returns true if the rounds of the grid would hardly show which of two engines is faster."""
        clocks = [self.situation.clock(track) for track in (rival.track, self.lead) if track]
        if min(clock.rounds(self.fraction) for clock in clocks) < 1:
            return False
        needed = self.rounds_of(rival, HOPE)
        return needed is None or needed > self.situation.subject.rounds

    def seconds_of(self, rival: Rival) -> float | None:
        """Returns how long the missing rounds of a comparison take. None if no number of rounds is enough."""
        needed = self.rounds_of(rival)
        if needed is None or self.lead is None:
            return None
        seconds = 0.0
        for track in (rival.track, self.lead):
            cell = track.cell(self.fraction)
            if cell is not None:
                missing = max(0, needed - self.situation.clock(track).rounds(self.fraction))
                seconds += missing * self.situation.costs.predicted((Piece(cell, 1),))[0]
        return seconds

    # The answer

    def state(self) -> State:
        """Returns where the question stands."""
        lead = self.lead
        if lead is None:
            failed = "; ".join(self.failed.values())
            text = f"No engine on one node has a time{f': {failed}' if failed else ''}."
            standing = Standing(
                ENGINE, "not resolved", "", text, "nothing is known yet", (), subject=self.situation.name
            )
            return State(standing, tuple(self.needs()))
        records = self.situation.evidence.records(
            cell.key for track in self.situation.subject.node for cell in track.cells
        )
        resolved = self.is_resolved
        needs = () if resolved else tuple(self.needs())
        to_resolve, seconds = ("", None) if resolved else self._to_resolve(lead)
        standing = Standing(
            ENGINE,
            "yes" if resolved else "not resolved",
            choices.of_engine(lead.engine),
            " ".join(self._sentences(lead)),
            "" if resolved else self._doubt(lead),
            records,
            to_resolve,
            seconds,
            self.situation.name,
        )
        return State(standing, needs)

    def _sentences(self, lead: Track) -> Iterator[str]:
        clock = self.situation.clock(lead)
        fraction = self.fraction if clock.rounds(self.fraction) else clock.reach
        cell, spread = lead.cell(fraction), Spread.of(clock.by_fraction[fraction])
        assert cell is not None
        assert spread is not None
        yield f"{lead.engine} takes {spread.words(unit=' s')} for {cell.rows:,} rows."
        for rival in self.rivals:
            yield self._faster(rival)
        for track, step in self.worse.items():
            criterion = self.situation.evidence.criterion(track.cells[0].key)
            lost = (
                f" gives up {criterion.show_given_up(step.estimate.value)} of {criterion.name}" if criterion else ""
            )
            yield f"{track.engine} is left out: its model{lost}."
        for why in self.failed.values():
            yield f"{why}."
        if not self.rivals and not self.worse and not self.failed:
            yield "It is the only engine on one node."

    def _faster(self, rival: Rival) -> str:
        if rival.difference is None:
            return f"{rival.track.engine} was not measured yet."
        engine, ratio = rival.track.engine, rival.difference.words()
        if not ratio:
            return f"Which of it and {engine} is faster is not known yet."
        clock, at = self.situation.clock(rival.track), ""
        if clock.is_stopped(self.fraction):
            at = f", because {engine} ran into its time limit"
        elif not clock.rounds(self.fraction):
            at = f", judged from at most {show_fraction(clock.reach)} of the rows"
        open_ = "" if rival.is_beaten else ", which is not resolved"
        return f"It is {ratio} times as fast as {engine}{at}{open_}."

    def _doubt(self, lead: Track) -> str:
        """Returns shortly what is open."""
        if self.open:
            rival = self.open[0]
            if rival.difference is None:
                return f"{rival.track.engine} not measured"
            rounds = count(rival.difference.rounds, "round")
            return f"{rival.track.engine}/{lead.engine} {rival.difference.words() or NOT_KNOWN}, {rounds}"
        other = next((one for one, _ in self.doubts(lead)), None)
        if other is None:
            return f"{lead.engine} not measured with {show_fraction(self.fraction)} of the rows"
        return f"is {lead.engine}'s model worse than {other.engine}'s?"

    def _to_resolve(self, lead: Track) -> tuple[str, float | None]:
        """Returns what would resolve the question, and the seconds that this takes."""
        if not self.open and not self.is_measured:
            return f"{lead.engine} with {show_fraction(self.fraction)} of the rows", None
        if not self.open:
            return "more rounds for the quality of the models", None
        tracks = (lead, *(rival.track for rival in self.open))
        missing = [track for track in tracks if self._lacks(track)]
        if missing:
            cells = [cell for track in missing if (cell := track.cell(self.fraction))]
            seconds = self.situation.seconds([Piece(cell, 1) for cell in cells])
            names = named([track.engine for track in missing])
            rows = "all rows" if self.fraction == 1 else f"{show_fraction(self.fraction)} of the rows"
            return f"{names} with {rows}, and perhaps more rounds: from about {amount(seconds)} more", seconds
        needed = [self.rounds_of(rival) if rival.difference else 1 for rival in self.open]
        if None in needed:
            names = ", ".join(rival.track.engine for rival in self.open)
            return f"nothing more: {lead.engine} and {names} take about the same time", None
        seconds = sum(self.seconds_of(rival) or 0.0 for rival in self.open)
        rounds = max(one for one in needed if one)
        return f"{count(rounds, 'round')} of {lead.engine} and its rivals: about {amount(seconds)} more", seconds

    def _lacks(self, track: Track) -> bool:
        """Returns true if an engine may still be measured on the fraction of the question, and was not."""
        clock = self.situation.clock(track)
        return not clock.rounds(self.fraction) and not clock.is_stopped(self.fraction)


def is_worse(step: Step, level: float) -> bool:
    """Returns true if a model is shown to be worse by more than is tolerated. It needs several seeds."""
    if step.estimate.seeds < FEWEST_SEEDS:
        return False
    interval = step.estimate.at(level)
    return interval is not None and interval.low > step.tolerance


def is_settled(step: Step, fraction: float) -> bool:
    """Returns true if a model is not shown to be worse, and if more rounds would hardly show that it is.

    Either it is clearly as good, or only more units of the hold-out could show that it is worse. The second needs
    several seeds on `fraction`, the fraction of the question.
    """
    estimate = step.estimate
    clear = estimate.at(CLEARLY)
    if clear is None or estimate.value <= step.tolerance / 2:
        return True
    if estimate.seeds < FEWEST_SEEDS:  # the interval lacks the noise of seeds
        return False
    if clear.high <= step.tolerance:
        return True
    if step.fraction != fraction or clear.low > step.tolerance:
        return False
    of_seeds = math.sqrt(max(0.0, estimate.standard_error**2 - estimate.lasting_variance))
    if estimate.value + of_seeds <= step.tolerance:
        return True
    return estimate.is_limited_by_units(step.tolerance - of_seeds)
