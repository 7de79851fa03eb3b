"""Predicts how long a step takes, from what was measured so far: starts of workers, warm-ups, and phases."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sparkscale.analysis.questions.decide.grid import GridCell, Piece
from sparkscale.contract.case import Placement
from sparkscale.contract.record import RunRecord

UNKNOWN_START = {"node": 2.0, "spark": 12.0}
"""The seconds that a worker takes to start, before any has started. With Spark it includes the session."""
UNKNOWN_WARM_UP = {"node": 1.0, "spark": 8.0}
"""The seconds of an engine's warm-ups in a worker, before any was measured."""
UNKNOWN_CASE = {"node": 2.0, "spark": 8.0}
"""The seconds of a case of few rows, before the engine was measured."""
UNKNOWN_ROW = 3e-5
"""The seconds that each row adds, before the engine was measured."""
SLOWER = 1.5
"""The upper end of a measured time, or of a forecast, relative to its value."""
UNSURE = 4.0
"""The upper end of a time of which nothing is known, relative to its expected value."""
GROWTH = 1.15
"""The exponent with which the upper end of a forecast time grows with the rows."""

Engine = tuple[str, str, str, str]


@dataclass(frozen=True)
class Waiting:
    """A worker that waits for the next step. `warm` holds the keys of the cells for which it is warm.

    Cells of this round, cluster and worker need no start, and the warm ones no warm-ups.
    """

    round: int
    cluster: str
    worker: str
    warm: frozenset[str] = frozenset()


class Costs:
    """The observed costs. Records are those of the invocation, warm-ups included.

    `waiting` is a worker that the next step can use; None if there is none. `clusters` holds the seconds that the
    start of a cluster takes, by the name of its profile. A profile that needs no start is left out.
    """

    def __init__(
        self,
        grid: Sequence[GridCell],
        records: Iterable[RunRecord] = (),
        waiting: Waiting | None = None,
        clusters: Mapping[str, float] | None = None,
    ) -> None:
        self.waiting = waiting
        self._clusters = clusters or {}
        self._cells = {cell.key: cell for cell in grid}
        self._starts: dict[tuple[str, Placement], list[float]] = defaultdict(list)
        self._warm_ups: dict[Engine, list[float]] = defaultdict(list)
        self._tracks: dict[Engine, list[GridCell]] = defaultdict(list)
        for cell in grid:
            self._tracks[_engine(cell)].append(cell)
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._read(records)

    def started(self, cluster: str, placement: Placement, seconds: float) -> None:
        """Adds the start of a worker."""
        self._starts[cluster, placement].append(seconds)

    def warmed(self, cell: GridCell, seconds: float) -> None:
        """Adds the seconds of all warm-ups of a cell's engine in one worker."""
        self._warm_ups[_engine(cell)].append(seconds)

    def took(self, key: str, seconds: float) -> None:
        """Adds the seconds of all phases of a cell in one round."""
        self._seconds[key].append(seconds)

    def _read(self, records: Iterable[RunRecord]) -> None:
        starts: dict[tuple[str, Placement, int, str | None, float], None] = {}
        warm_ups: dict[tuple[Engine, int, float | None], float] = defaultdict(float)
        for record in records:
            case = record.case
            total = record.deadline_seconds if record.outcome == "timeout" else sum(record.seconds.values())
            if record.start_seconds is not None:
                starts[case.cluster, case.placement, record.round, record.jvm, record.start_seconds] = None
            if not total:  # a failure says nothing about the time
                continue
            if record.is_warmup:
                engine = (case.workload, case.engine, case.cluster, case.parameter_set)
                warm_ups[engine, record.round, record.start_seconds] += total
            else:
                self.took(case.experiment, total)
        for cluster, placement, _, _, seconds in starts:
            self.started(cluster, placement, seconds)
        for (engine, _, _), seconds in warm_ups.items():
            self._warm_ups[engine].append(seconds)

    def predicted(self, pieces: Sequence[Piece]) -> tuple[float, float]:
        """Returns the expected seconds of a step with these pieces, and the upper end.

        Pieces of one round with an equal worker share its start, and those of one engine share its warm-ups.
        """
        cold = [piece for piece in pieces if not self._waits(piece)]
        parts = [
            self._start(*key) for key in {(p.round, p.cell.cluster, p.cell.worker): p.cell for p in cold}.items()
        ]
        engines = {
            (p.round, p.cell.worker, _engine(p.cell)): p.cell for p in pieces if p in cold or not self._is_warm(p)
        }
        parts += [self._warm_up(cell) for cell in engines.values()]
        parts += [self.of_cell(piece.cell) for piece in pieces]
        for cluster in {piece.cell.cluster for piece in pieces if piece.cell.placement == "spark"}:
            seconds = self._clusters.get(cluster, 0.0)
            parts.append((seconds, SLOWER * seconds))
        return sum(expected for expected, _ in parts), sum(most for _, most in parts)

    def _waits(self, piece: Piece) -> bool:
        """Returns true if the worker that waits can measure this piece."""
        own, waiting = (piece.round, piece.cell.cluster, piece.cell.worker), self.waiting
        return waiting is not None and own == (waiting.round, waiting.cluster, waiting.worker)

    def _is_warm(self, piece: Piece) -> bool:
        """Returns true if the worker that waits is warm for this piece."""
        return self.waiting is not None and piece.cell.key in self.waiting.warm

    def overhead(self, cell: GridCell) -> float:
        """Returns the expected seconds of a worker's start and of an engine's warm-ups."""
        return self._start((), cell)[0] + self._warm_up(cell)[0]

    def _start(self, _: object, cell: GridCell) -> tuple[float, float]:
        known = self._starts.get((cell.cluster, cell.placement))
        return _known(known) if known else _unknown(UNKNOWN_START[cell.placement])

    def _warm_up(self, cell: GridCell) -> tuple[float, float]:
        known = self._warm_ups.get(_engine(cell))
        if known:
            return _known(known)
        if self._seconds:  # no warm-up was needed so far, or another engine of the placement had some
            others = [
                seconds
                for engine, of_engine in self._warm_ups.items()
                for seconds in of_engine
                if self._tracks[engine] and self._tracks[engine][0].placement == cell.placement
            ]
            if others:
                return float(np.mean(others)), SLOWER * max(others)
        return _unknown(UNKNOWN_WARM_UP[cell.placement])

    def of_cell(self, cell: GridCell) -> tuple[float, float]:
        """Returns the expected seconds of a cell's phases, and the upper end."""
        if known := self._seconds.get(cell.key):
            return _known(known)
        measured = sorted(
            (other.rows, float(np.mean(self._seconds[other.key])))
            for other in self._tracks[_engine(cell)]
            if self._seconds.get(other.key)
        )
        if not measured:
            return _unknown(UNKNOWN_CASE[cell.placement] + UNKNOWN_ROW * cell.rows)
        rows, seconds = measured[-1]
        if cell.rows <= rows:
            value = float(np.interp(cell.rows, [one for one, _ in measured], [one for _, one in measured]))
            return value, SLOWER * value
        growth = cell.rows / rows
        expected = seconds * (0.3 + 0.7 * growth)
        if len(measured) > 1:
            before, earlier = measured[-2]
            slope = max(0.0, (seconds - earlier) / (rows - before))
            expected = seconds + slope * (cell.rows - rows)
        at_most = SLOWER * max(expected, 0.7 * seconds * growth) * growth ** (GROWTH - 1)
        return expected, at_most


def _engine(cell: GridCell) -> Engine:
    return cell.workload, cell.engine, cell.cluster, cell.parameter_set


def _known(seconds: Sequence[float]) -> tuple[float, float]:
    return float(np.mean(seconds)), SLOWER * max(seconds)


def _unknown(seconds: float) -> tuple[float, float]:
    return seconds, UNSURE * seconds
