"""Does Spark pay, and from which size? Compares each engine on Spark with the best engine on one node."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.blocks import Verdict, verdict_of
from sparkscale.analysis.duration import amount
from sparkscale.analysis.questions.crossover import FEWEST_SIZES
from sparkscale.analysis.questions.decide import choices
from sparkscale.analysis.questions.decide.engines import HOPE, NOT_KNOWN, Nodes, is_settled, is_worse
from sparkscale.analysis.questions.decide.field import Track
from sparkscale.analysis.questions.decide.grid import CLUSTER, Piece, Standing
from sparkscale.analysis.questions.decide.situation import Need, Situation, State
from sparkscale.analysis.questions.decide.times import Difference, LogTime
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.contract.phrases import count

KNOWN_NOISE = 2
"""A contest is given up only after this number of rounds, because the noise is not known before."""
PATIENCE = 1.5
"""A contest is given up if it needs more than this multiple of the grid's rounds.

The error of a forecast often shrinks faster than the prediction says.
"""


@dataclass(frozen=True)
class Contest:
    """An engine on Spark and the engine on one node that is the fastest with FARTHEST times the rows.

    `difference` is the logarithm of its time minus the rival's, with FARTHEST times the rows. None if too few sizes
    were measured. `edge` is the number of rows with which every engine on one node runs out of memory, and this one
    does not.
    """

    track: Track
    rival: Track | None
    difference: Difference | None
    verdict: Verdict
    edge: int | None = None


@dataclass(frozen=True)
class Spark:
    """The engines on Spark, on every profile of the grid."""

    situation: Situation
    nodes: Nodes

    @cached_property
    def failed(self) -> dict[Track, str]:
        """The engines on Spark that cannot take part, each with the reason."""
        tracks = self.situation.subject.spark
        return {track: why for track in tracks if (why := self.situation.failure(track))}

    @cached_property
    def running(self) -> list[Track]:
        """The engines on Spark that can take part."""
        return [track for track in self.situation.subject.spark if track not in self.failed]

    def level(self, look: int) -> float:
        """Returns the one-sided level of a look at the contest of an engine on Spark with one on one node."""
        subject = self.situation.subject
        return self.situation.levels.of_times(len(subject.spark) * max(1, len(subject.node)), look)

    def fraction(self, track: Track) -> float:
        """Returns the largest fraction that an engine on Spark and the engines on one node may both have."""
        own = self.situation.fraction([track])
        return min(self.nodes.fraction, own) if self.nodes.running else own

    @cached_property
    def has_forecasts(self) -> bool:
        """True if the grid has enough sizes for forecasts. Otherwise the largest size alone is judged."""
        return all(len(track.cells) >= FEWEST_SIZES for track in (*self.nodes.running, *self.running))

    def farthest(self, track: Track) -> float:
        """Returns the number of rows up to which the question is asked."""
        cell = track.cell(self.fraction(track))
        return (FARTHEST if self.has_forecasts else 1.0) * cell.rows if cell else 0.0

    def time(self, track: Track, contender: Track) -> LogTime | None:
        """Returns the time of an engine with the rows of `farthest` for `contender`. None if it is not known."""
        clock, farthest = self.situation.clock(track), self.farthest(contender)
        if not self.has_forecasts:
            return clock.measured(self.fraction(contender))
        return clock.forecast(farthest) if farthest else None

    @cached_property
    def contests(self) -> list[Contest]:
        """The contest of each engine on Spark."""
        return [self._contest(track) for track in self.running]

    def _contest(self, track: Track) -> Contest:
        edge = self._edge(track)
        if edge is not None:
            return Contest(track, None, None, "yes", edge)
        ahead = self.time(track, track)
        others = [(rival, self.time(rival, track)) for rival in self.nodes.candidates]
        known = [(time.centre, rival, time) for rival, time in others if time]
        if not known:
            return Contest(track, self.nodes.lead, None, "not resolved")
        _, rival, best = min(known, key=lambda one: one[0])
        if ahead is None:
            return Contest(track, rival, None, "not resolved")
        difference = Difference.of(ahead, best, self.level)
        return Contest(track, rival, difference, self._verdict(track, rival, difference))

    def _verdict(self, track: Track, rival: Track, difference: Difference) -> Verdict:
        """Returns the verdict. It needs times on the largest fraction, because forecasts reach only so far."""
        step = self.nodes.gives_up(track, rival)
        level = self.situation.levels.of_quality(len(self.situation.subject.spark))
        if step and step.fraction == self.fraction(track) and is_worse(step, level):
            return "no"
        if not self._is_measured(track, track) or not self._is_measured(rival, track):
            return "not resolved"
        if difference.is_above:
            return "no"
        if not self._beats_every_node(track):
            return "not resolved"
        return "yes" if step is None or is_settled(step, self.fraction(track)) else "not resolved"

    def _is_measured(self, track: Track, contender: Track) -> bool:
        """Returns true if an engine has enough sizes for a contest with `contender`, an engine on Spark."""
        clock = self.situation.clock(track)
        fraction = self.fraction(contender)
        return clock.reach >= fraction > 0 and len(clock.by_fraction) >= min(FEWEST_SIZES, len(track.cells))

    def _beats_every_node(self, track: Track) -> bool:
        """Returns true if an engine is faster than every engine on one node, with FARTHEST times the rows."""
        own = self.time(track, track)
        rivals = [rival for rival in self.nodes.running if rival not in self.nodes.worse]
        times = [self.time(rival, track) for rival in rivals]
        return own is not None and all(time and Difference.of(time, own, self.level).is_above for time in times)

    def _edge(self, track: Track) -> int | None:
        """Returns the number of rows that only this engine can hold in memory. None if there is none."""
        evidence, edges = self.situation.evidence, []
        for other in self.situation.subject.node:
            out = [cell for cell in other.cells if (why := evidence.failure(cell.key)) and why.outcome == "oom"]
            if not out:
                return None
            edges.append(min(out, key=lambda cell: cell.fraction))
        if not edges:
            return None
        last = max(edges, key=lambda cell: cell.fraction)
        return last.rows if self.situation.clock(track).reach >= last.fraction else None

    @property
    def verdict(self) -> Verdict:
        if not self.contests or (self.nodes.lead is None and all(c.edge is None for c in self.contests)):
            return "not resolved"
        return verdict_of([contest.verdict for contest in self.contests])

    # What to measure

    def needs(self) -> Iterator[Need]:
        """Yields what would bring the question closer to an answer."""
        open_ = [contest for contest in self.contests if contest.verdict == "not resolved"]
        yield from self._of_nodes(open_)
        for contest in open_:
            if not self.is_hopeless(contest):
                yield from self._of_contest(contest, 1 / len(open_))

    def _of_nodes(self, open_: list[Contest]) -> Iterator[Need]:
        """Yields what the question needs of the engines on one node: each once, and the fastest on all rows."""
        for track in self.nodes.running:
            if not self.situation.clock(track).by_fraction and (
                pieces := self.situation.upwards(track, self.nodes.fraction)
            ):
                yield Need(pieces, 0.3, self.situation.seconds(pieces), f"{track.engine} for the first time")
        lead = self.nodes.lead
        if lead and any(not self._is_measured(lead, contest.track) for contest in open_):
            pieces = self.situation.upwards(lead, self.nodes.fraction, FEWEST_SIZES)
            if pieces:
                reason = f"{lead.engine}, the fastest on one node, with more rows"
                yield Need(pieces, 0.5, self.situation.seconds(pieces), reason)

    def _of_contest(self, contest: Contest, share: float) -> Iterator[Need]:
        situation, track = self.situation, contest.track
        if not self._is_measured(track, track):
            pieces = situation.upwards(track, self.fraction(track), FEWEST_SIZES)
            if pieces:
                reason = f"does {track.engine} on Spark become faster?"
                yield Need(pieces, share, situation.seconds(pieces), reason)
            return
        rival = contest.rival
        if rival is None:
            return
        if not self._is_measured(rival, track):
            pieces = situation.upwards(rival, self.fraction(track), FEWEST_SIZES)
            if pieces:
                yield Need(pieces, share, situation.seconds(pieces), f"{rival.engine} with more rows")
            return
        yield from self._repeat(contest, rival, share)

    def _repeat(self, contest: Contest, rival: Track, share: float) -> Iterator[Need]:
        """Yields another round of an engine on Spark, or of its rival: of the one with the larger error."""
        situation, track = self.situation, contest.track
        ahead, other = (self.time(one, track) for one in (track, rival))
        assert ahead is not None
        assert other is not None
        order = (rival, track) if other.variance > ahead.variance else (track, rival)
        kept = next((pieces for one in order if (pieces := self._ends(one))), ())
        first = kept[0].round if kept else 0
        if kept:
            seconds = (self._rounds_left(contest, HOPE) or 1) * situation.seconds(kept)
            yield Need(kept, share, seconds, f"{track.engine} and {rival.engine} are close: round {first}")

    def _ends(self, track: Track) -> tuple[Piece, ...]:
        """Returns the next round of a track on its largest and its smallest size. Empty if no round is left."""
        done = self.situation.clock(track).by_fraction
        pieces = [piece for one in {max(done), min(done)} if (piece := self.situation.further(track, one))]
        first = min((piece.round for piece in pieces), default=0)
        return tuple(piece for piece in pieces if piece.round == first)

    def _rounds_left(self, contest: Contest, hope: float = 0.0) -> int | None:
        """Returns the number of further rounds that a contest needs. None if no number is enough."""
        if contest.difference is None:
            return None
        needed = contest.difference.rounds_needed(hope)
        return None if needed is None else needed - contest.difference.rounds

    def is_hopeless(self, contest: Contest) -> bool:
        """Returns true if the rounds of the grid would hardly resolve a contest."""
        if contest.difference is None or contest.rival is None:
            return False
        track = contest.track
        if not self._is_measured(track, track) or not self._is_measured(contest.rival, track):
            return False
        if self.situation.clock(track).rounds(self.fraction(track)) < KNOWN_NOISE:
            return False
        needed = contest.difference.rounds_needed(HOPE)
        return needed is None or needed > PATIENCE * self.situation.subject.rounds

    # The answer

    def state(self) -> State:
        """Returns where the question stands."""
        verdict = self.verdict
        paying = {
            contest.track.engine: self._rows(contest)[0] for contest in self.contests if contest.verdict == "yes"
        }
        choice = "" if verdict == "not resolved" else choices.of_cluster(paying)
        needs = () if verdict != "not resolved" else tuple(self.needs())
        to_resolve, seconds = ("", None) if verdict != "not resolved" else self._to_resolve(needs)
        sentences = [self._sentence(contest) for contest in self.contests]
        sentences += [f"{why}." for why in self.failed.values()]
        subject = self.situation.subject
        keys = [cell.key for track in (*subject.node, *subject.spark) for cell in track.cells]
        standing = Standing(
            CLUSTER,
            verdict,
            choice,
            " ".join(sentences) or "The grid has no engine on Spark.",
            "" if verdict != "not resolved" else self._doubt(),
            self.situation.evidence.records(keys),
            to_resolve,
            seconds,
            self.situation.name,
        )
        return State(standing, needs)

    def _rows(self, contest: Contest) -> tuple[float, float, float]:
        """Returns the number of rows from which an engine is faster, and the ends of its range."""
        if contest.edge is not None or contest.rival is None:
            edge = float(contest.edge or 0)
            return edge, edge, edge
        if not self.has_forecasts:
            rows = self.farthest(contest.track)
            return rows, rows, rows
        value, bounds = self.situation.clock(contest.track).crossing(self.situation.clock(contest.rival))
        return min(value, self.farthest(contest.track)), bounds.low, bounds.high

    def _sentence(self, contest: Contest) -> str:
        """Returns what a contest shows."""
        engine = contest.track.engine
        if contest.edge is not None:
            return f"Engines on one node run out of memory with {contest.edge:,} rows, and {engine} does not."
        if contest.difference is None or contest.rival is None:
            return f"{engine} was measured with too few sizes so far."
        rival = contest.rival.engine
        if contest.verdict == "no" and not contest.difference.is_above:
            return f"The model of {engine} is worse than that of {rival}."
        ratio, takes = contest.difference.words(), "would take" if self.has_forecasts else "takes"
        size = f"{self.farthest(contest.track):,.0f} rows"
        if not ratio:
            return f"Which of {engine} and {rival} is faster with {size} is not known yet."
        ahead = f"With {size}, {engine} {takes} {ratio} times as long as {rival}"
        if contest.verdict == "not resolved":
            return f"{ahead}, which is not resolved."
        return f"{self._since(contest, rival)}{ahead}." if contest.verdict == "yes" else f"{ahead}."

    def _since(self, contest: Contest, rival: str) -> str:
        """Returns a sentence about the size from which an engine is faster. Empty if the suite has too few sizes."""
        if not self.has_forecasts:
            return ""
        rows, low, high = self._rows(contest)
        since = "the smallest measured size" if rows == 0 else f"{rows:,.0f} rows"
        above = f"{high:,.0f}" if math.isfinite(high) else f"more than {self.farthest(contest.track):,.0f}"
        return f"{contest.track.engine} is faster than {rival} from {since} on (90 % range {low:,.0f}–{above}). "

    def _doubt(self) -> str:
        for contest in self.contests:
            if contest.verdict == "not resolved" and contest.difference and contest.rival:
                rounds = count(contest.difference.rounds, "round")
                ratio = contest.difference.words() or NOT_KNOWN
                return f"{contest.track.engine}/{contest.rival.engine} {ratio}, {rounds}"
        return "too few sizes so far" if self.contests else "no engine on Spark can be judged"

    def _to_resolve(self, needs: tuple[Need, ...]) -> tuple[str, float | None]:
        """Returns what would resolve the question, and the seconds that this takes."""
        open_ = [contest for contest in self.contests if contest.verdict == "not resolved"]
        hopeless = [contest for contest in open_ if self.is_hopeless(contest)]
        if not hopeless and needs:
            seconds = sum(need.to_resolve for need in needs)
            return f"more sizes or rounds: about {amount(seconds)} more", seconds
        if not hopeless:
            return ("more rounds than the suite has" if open_ else ""), None
        total = 0.0
        for contest in hopeless:
            left = self._rounds_left(contest)
            if left is None:
                name = contest.track.engine
                return f"more rows: rounds alone would not show whether {name} becomes faster", None
            tracks = [track for track in (contest.track, contest.rival) if track]
            cells = [cell for track in tracks if (cell := track.cell(self.fraction(contest.track)))]
            total += left * self.situation.seconds([Piece(cell, 1) for cell in cells])
        return f"more rounds: about {amount(total)} more", total
