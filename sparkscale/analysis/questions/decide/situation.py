"""What a question may look at, and what it needs: pieces that would bring it closer to an answer."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sparkscale.analysis.questions.decide.costs import Costs
from sparkscale.analysis.questions.decide.evidence import Evidence
from sparkscale.analysis.questions.decide.field import Subject, Track
from sparkscale.analysis.questions.decide.grid import GridCell, Piece, Standing
from sparkscale.analysis.questions.decide.levels import Levels
from sparkscale.analysis.questions.decide.noise import Noise
from sparkscale.analysis.questions.decide.times import Clock

CHEAP = 2.0
"""A larger size is measured at once if it takes at most this many times as long as the start and the warm-ups."""
STEEP = 4.0
"""It is also measured at once if it takes at most this many times as long as the largest measured size."""


@dataclass(frozen=True)
class Need:
    """Pieces that would bring a question closer to an answer.

    `share` is the part of the question that they are about, between 0 and 1. `to_resolve` is the number of seconds
    that this part probably still needs, with these pieces. `reason` is a short sentence.
    """

    pieces: tuple[Piece, ...]
    share: float
    to_resolve: float
    reason: str


@dataclass(frozen=True)
class State:
    """Where a question stands, and what it needs. There is no need if it is resolved or hopeless."""

    standing: Standing
    needs: tuple[Need, ...] = ()


@dataclass
class Situation:
    """The evidence about one subject. `noises` holds the noise of each place (profile and placement).

    `seconds_left` is how long the next step may take at most.
    """

    subject: Subject
    evidence: Evidence
    costs: Costs
    levels: Levels
    noises: dict[tuple[str, str], Noise]
    seconds_left: float = math.inf
    _clocks: dict[Track, Clock] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.subject.name

    def clock(self, track: Track) -> Clock:
        """Returns what is known about the times of a track."""
        if track not in self._clocks:
            self._clocks[track] = Clock(track, self.evidence, self.noises.get(track.place, Noise()))
        return self._clocks[track]

    def failure(self, track: Track) -> str:
        """Returns why an engine cannot take part, such as "xgboost: oom with 1/2". Empty if it can.

        A timeout is no such reason: the engine is only slower than the limit. Nor is a sample that is too small for
        the engine.
        """
        if reason := track.cells[-1].unsupported:
            return f"{track.engine}: {reason}"
        for cell in track.cells:
            failure = self.evidence.failure(cell.key)
            if failure is not None and failure.limit is None:
                return f"{track.engine}: {failure} (with {cell.rows:,} rows)"
        return ""

    def fraction(self, tracks: Iterable[Track]) -> float:
        """Returns the largest fraction on which an engine of these may still have a time. 0 if there is none."""
        possible = [
            cell.fraction
            for track in tracks
            for cell in track.cells
            if not cell.unsupported and self.evidence.failure(cell.key) is None and not self.is_beyond(track, cell)
        ]
        return max(possible, default=0.0)

    def is_beyond(self, track: Track, cell: GridCell) -> bool:
        """Returns true if the engine already failed on fewer rows."""
        return any(
            other.fraction < cell.fraction and self.evidence.failure(other.key) is not None for other in track.cells
        )

    # What to measure

    def further(self, track: Track, fraction: float) -> Piece | None:
        """Returns a track on a fraction in its next round. None if no round is left, or if it cannot run."""
        cell = track.cell(fraction)
        if cell is None or cell.unsupported or self.evidence.failure(cell.key) or self.is_beyond(track, cell):
            return None
        attempted = self.evidence.attempted(cell.key)
        number = next((one for one in range(1, cell.rounds + 1) if one not in attempted), None)
        return None if number is None else Piece(cell, number)

    def upwards(self, track: Track, fraction: float, sizes: int = 2) -> tuple[Piece, ...]:
        """Returns the pieces that bring a track closer to a fraction, in its first round.

        It takes the largest size that is cheap relative to what is known and ends in the time that is left. It also
        takes a size between, if the track would otherwise have fewer than `sizes` sizes. A track without any size
        gets the smallest one. On Spark it gets two if there is time, because starts take long there.
        """
        clock = self.clock(track)
        open_ = [cell for cell in track.cells if cell.fraction <= fraction and self._is_open(track, cell)]
        if not open_:
            return ()
        if not clock.by_fraction:
            more = open_[2:3] if track.placement == "spark" and len(open_) > 3 else []
            pieces = tuple(Piece(cell, 1) for cell in (open_[0], *more))
            return pieces if self.costs.predicted(pieces)[1] <= self.seconds_left else pieces[:1]
        larger = [cell for cell in open_ if cell.fraction > clock.reach]
        larger = [cell for cell in larger if self._is_in_time(cell)] or larger[:1]
        chosen: list[GridCell] = []
        if larger:
            known = track.cell(clock.reach)
            assert known is not None
            limit = max(CHEAP * self.costs.overhead(known), STEEP * self.costs.of_cell(known)[0])
            chosen = [
                max(
                    (cell for cell in larger if self.costs.of_cell(cell)[0] <= limit),
                    key=_fraction,
                    default=larger[0],
                )
            ]
        reach = max([clock.reach, *(cell.fraction for cell in chosen)])
        between = [cell for cell in open_ if cell.fraction < reach and cell not in chosen]
        while between and len(clock.by_fraction) + len(chosen) < sizes:
            chosen.append(between.pop(len(between) // 2))
        return tuple(Piece(cell, 1) for cell in chosen)

    def _is_open(self, track: Track, cell: GridCell) -> bool:
        tried = bool(self.evidence.attempted(cell.key))
        return not tried and not cell.unsupported and not self.is_beyond(track, cell)

    def _is_in_time(self, cell: GridCell) -> bool:
        return self.costs.predicted([Piece(cell, 1)])[1] <= self.seconds_left

    def seconds(self, pieces: Sequence[Piece]) -> float:
        """Returns the expected seconds of these pieces."""
        return self.costs.predicted(pieces)[0] if pieces else 0.0

    def repeated(self, tracks: Sequence[Track], fraction: float) -> tuple[Piece, ...]:
        """Returns the next round of the tracks with the fewest rounds on a fraction."""
        pieces = [piece for track in tracks if (piece := self.further(track, fraction))]
        first = min((piece.round for piece in pieces), default=0)
        return tuple(piece for piece in pieces if piece.round == first)


def _fraction(cell: GridCell) -> float:
    return cell.fraction
