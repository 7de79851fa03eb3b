"""How many workers? Compares engines on Spark on profiles of several sizes, and with the best engine on one node."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.blocks import Verdict
from sparkscale.analysis.duration import amount
from sparkscale.analysis.questions.decide import choices
from sparkscale.analysis.questions.decide.engines import HOPE, NOT_KNOWN, Nodes
from sparkscale.analysis.questions.decide.field import Track
from sparkscale.analysis.questions.decide.grid import WORKERS, Standing
from sparkscale.analysis.questions.decide.situation import Need, Situation, State
from sparkscale.analysis.questions.decide.spark import Spark
from sparkscale.analysis.questions.decide.times import Difference, slower
from sparkscale.contract.phrases import count, number


@dataclass(frozen=True)
class Workers:
    """The engines on Spark on each profile: which is the fastest, and with how many cores does one beat one node?"""

    situation: Situation
    nodes: Nodes
    spark: Spark

    @cached_property
    def fraction(self) -> float:
        """The fraction that the question is about: the largest one that engines may have."""
        return min(self.nodes.fraction, self.situation.fraction(self.spark.running))

    def level(self, look: int) -> float:
        """Returns the one-sided level of a look at a comparison: with the fastest option, or with one node."""
        return self.situation.levels.of_times(2 * len(self.situation.subject.spark), look)

    @cached_property
    def options(self) -> list[Track]:
        """The engines on Spark on their profiles, the fastest first. Those without a time are left out."""
        timed = []
        for track in self.spark.running:
            clock = self.situation.clock(track)
            time = clock.at(self.fraction) or clock.floor(self.fraction)
            if time and clock.by_fraction:
                timed.append((time.centre, track))
        return [track for _, track in sorted(timed, key=lambda pair: pair[0])]

    @cached_property
    def open(self) -> list[tuple[Track, Difference | None]]:
        """The options that may be faster than the fastest one."""
        if not self.options:
            return []
        lead = self.situation.clock(self.options[0])
        compared = [
            (track, slower(self.situation.clock(track), lead, self.fraction, self.level))
            for track in self.spark.running
            if track is not self.options[0]
        ]
        return [(track, one) for track, one in compared if one is None or not one.is_above]

    def beats(self, track: Track) -> bool | None:
        """Returns true if an option is faster than the best engine on one node. None if it is not resolved."""
        if self.nodes.lead is None:
            return None
        own, node = self.situation.clock(track), self.situation.clock(self.nodes.lead)
        if (faster := slower(node, own, self.fraction, self.level)) and faster.is_above:
            return True
        is_slower = slower(own, node, self.fraction, self.level)
        return False if is_slower and is_slower.is_above else None

    @cached_property
    def fewest(self) -> tuple[int | None, bool]:
        """The fewest cores with which an option beats one node, and true if this is resolved.

        The number is None if none does.
        """
        by_cores: dict[int, list[bool | None]] = {}
        for track in sorted(self.spark.running, key=lambda track: track.cores):
            by_cores.setdefault(track.cores, []).append(self.beats(track))
        for cores, beats in by_cores.items():
            if True in beats:
                return cores, True
            if None in beats:
                return cores, False
        return None, True

    @property
    def verdict(self) -> Verdict:
        resolved = self.options and not self.open and self.nodes.lead is not None and self.fewest[1]
        return "yes" if resolved else "not resolved"

    # What to measure

    def needs(self) -> Iterator[Need]:
        """Yields what would bring the question closer to an answer."""
        rivals = [(track, one) for track, one in self.open if not self._is_hopeless(one, track)]
        against_node = [track for track in self.spark.running if not self.fewest[1] and track.cores == self.fewest[0]]
        tracks = dict.fromkeys([*self.options[:1], *(track for track, _ in rivals), *against_node])
        if not self.options:
            tracks = dict.fromkeys(self.spark.running)
        share = 1 / max(1, len(tracks))
        if self.nodes.lead is None or not self._is_measured(self.nodes.lead):
            for track in [self.nodes.lead] if self.nodes.lead else self.nodes.running:
                yield from self._upwards(track, 0.5)
        for track in tracks:
            if not self._is_measured(track):
                yield from self._upwards(track, share)
        measured = [track for track in tracks if self._is_measured(track)]
        against = [self.nodes.lead] if self.nodes.lead and against_node else []
        if len(measured) == len(tracks):
            for track in measured[1:] if rivals else against_node:
                pieces = self.situation.repeated([track], self.fraction)
                if pieces and not (track in against_node and self._is_tied(track)):
                    reason = f"{track.engine} on {track.cluster}: round {pieces[0].round}"
                    yield Need(pieces, share, 2 * self.situation.seconds(pieces), reason)
            for track in [*measured[:1], *against]:
                pieces = self.situation.repeated([track], self.fraction) if rivals or against_node else ()
                if pieces:
                    reason = f"{track.engine} on {track.cluster}: round {pieces[0].round}"
                    yield Need(pieces, share / 2, 2 * self.situation.seconds(pieces), reason)

    def _upwards(self, track: Track, share: float) -> Iterator[Need]:
        pieces = self.situation.upwards(track, self.fraction)
        if pieces:
            reason = f"{track.engine} on {track.cluster} with more rows"
            yield Need(pieces, share, self.situation.seconds(pieces), reason)

    def _is_measured(self, track: Track) -> bool:
        return self.situation.clock(track).reach >= self.fraction

    def _is_hopeless(self, difference: Difference | None, track: Track) -> bool:
        if difference is None or not self._is_measured(track) or not self._is_measured(self.options[0]):
            return False
        needed = difference.rounds_needed(HOPE)
        return needed is None or needed > self.situation.subject.rounds

    def _is_tied(self, track: Track) -> bool:
        """Returns true if the rounds of the grid would hardly show whether an option beats one node."""
        if self.nodes.lead is None:
            return False
        one = slower(self.situation.clock(track), self.situation.clock(self.nodes.lead), self.fraction, self.level)
        return self._is_hopeless(one, track)

    # The answer

    def state(self) -> State:
        """Returns where the question stands."""
        profiles = {track.cluster for track in self.situation.subject.spark}
        if len(profiles) < 2:
            text = "How many workers are best needs several profiles of Spark: name them with --cluster A,B."
            return State(self._standing("not resolved", "", text, "one profile", "several profiles with --cluster"))
        verdict = self.verdict
        if not self.options:
            return State(
                self._standing(verdict, "", "No engine on Spark has a time.", "nothing is known yet"),
                tuple(self.needs()),
            )
        fastest = self.options[0]
        choice = choices.of_workers(fastest.engine, fastest.cluster, *self.fewest)
        needs = () if verdict == "yes" else tuple(self.needs())
        to_resolve, seconds = ("", None)
        if verdict != "yes" and needs:
            seconds = sum(need.to_resolve for need in needs)
            to_resolve = f"more rounds: about {amount(seconds)} more"
        elif verdict != "yes":
            to_resolve = "nothing more: the profiles take about the same time, or about as long as one node"
        doubt = "" if verdict == "yes" else self._doubt()
        return State(self._standing(verdict, choice, self._text(fastest), doubt, to_resolve, seconds), needs)

    def _text(self, fastest: Track) -> str:
        time = self.situation.clock(fastest).at(self.fraction)
        seconds = f"{number(time.seconds, 2)} s" if time else "an unknown time"
        options = count(len(self.options), "option")
        text = f"{fastest.engine} on {fastest.cluster} takes {seconds}, the shortest of {options}."
        if self.open:
            names = ", ".join(f"{track.engine} on {track.cluster}" for track, _ in self.open)
            text += f" It is not resolved against {names}."
        cores, resolved = self.fewest
        node = self.nodes.lead.engine if self.nodes.lead else "one node"
        on_node = "" if self.nodes.lead is None else " on one node"
        if not resolved:
            return f"{text} It is not resolved whether {count(cores or 0, 'core')} of Spark beat {node}{on_node}."
        if cores is None:
            return f"{text} No profile beats {node}{on_node}."
        return f"{text} {count(cores, 'core')} are the fewest of Spark that beat {node}{on_node}."

    def _doubt(self) -> str:
        for track, one in self.open:
            if one is not None:
                return f"{track.engine} on {track.cluster} {one.words() or NOT_KNOWN}"
            return f"{track.engine} on {track.cluster} not measured"
        return f"do {self.fewest[0]} cores beat one node?"

    def _standing(
        self,
        verdict: Verdict,
        choice: str,
        text: str,
        doubt: str,
        to_resolve: str = "",
        seconds: float | None = None,
    ) -> Standing:
        keys = [cell.key for track in self.situation.subject.spark for cell in track.cells]
        records = self.situation.evidence.records(keys)
        return Standing(WORKERS, verdict, choice, text, doubt, records, to_resolve, seconds, self.situation.name)
