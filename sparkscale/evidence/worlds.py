"""Synthetic worlds for `decide`: engines with known times and known learning curves, and noise of several kinds.

The time of an engine is a fixed part and a part that grows with the rows. Noise is lognormal, some of it with slow
rounds, and the machine may drift. The quality of a model is a mean over the units of a hold-out, with noise of units,
of seeds and of both.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis.criterion import Criterion
from sparkscale.analysis.patterns.data_parallel.cell import Step
from sparkscale.analysis.questions.decide import choices
from sparkscale.analysis.questions.decide.evidence import Failure
from sparkscale.analysis.questions.decide.grid import GridCell, Piece
from sparkscale.analysis.questions.fitting import FARTHEST
from sparkscale.analysis.statistics import Array
from sparkscale.analysis.unit_quality import UnitQuality, UnitRatio
from sparkscale.contract.case import Placement
from sparkscale.contract.declared import Judged
from sparkscale.evidence.replays import Measured, Truth

WORKLOAD, SUBJECT = "data_parallel.synthetic", "synthetic"
FRACTIONS = tuple(2.0**-power for power in range(6, -1, -1))
ACCURACY = Criterion(
    Judged(
        quality="accuracy",
        direction="higher",
        tolerance=0.005,
        within="an accuracy within 0.005",
        estimator="accuracy",
    ),
    "accuracy",
)
KINDS = (
    "plain",
    "tie",
    "near-tie",
    "slow starter",
    "late crossover",
    "heavy tails",
    "drift",
    "few units",
    "bent times",
    "worse model",
    "timeouts",
    "workers",
)
"""The kinds of worlds. Each has one difficulty; the others are mild."""
ROWS_OF_UNIT = 1000.0


@dataclass(frozen=True)
class Engine:
    """An engine on a profile. Its seconds are fixed + slope·share^bend, for a share of all rows.

    `noise` is the standard deviation of the logarithm of seconds. The quality of its model with a share of the rows
    is `best` - `steep`·(share^-0.5 - 1).
    """

    name: str
    placement: Placement
    cluster: str
    cores: int
    fixed: float
    slope: float
    noise: float
    best: float
    steep: float
    bend: float = 1.0

    def seconds(self, share: float) -> float:
        """Returns the true seconds with a share of all rows."""
        return self.fixed + self.slope * math.pow(share, self.bend)

    def quality(self, share: float) -> float:
        """Returns the true quality with a share of all rows."""
        return self.best - self.steep * (math.pow(share, -0.5) - 1)


@dataclass
class Synthetic:
    """A synthetic world. `units` is the number of units of the hold-out."""

    name: str
    seed: int
    engines: tuple[Engine, ...]
    rows: int
    rounds: int
    units: int
    tails: float = 0.0
    drift: float = 0.0
    deadline: float = math.inf
    unit_noise: float = 0.003
    seed_noise: float = 0.001
    cell_noise: float = 0.003
    _clock: float = 0.0
    _steps: dict[tuple[str, str, tuple[int, ...]], Step | None] = field(default_factory=dict)
    _qualities: dict[tuple[str, int], UnitQuality] = field(default_factory=dict)

    @cached_property
    def grid(self) -> Sequence[GridCell]:
        """The cells of the grid."""
        return [
            GridCell(
                key=f"{engine.name}|{engine.cluster}|{fraction}",
                workload=WORKLOAD,
                engine=engine.name,
                placement=engine.placement,
                cluster=engine.cluster,
                device="cpu",
                fraction=fraction,
                rows=round(self.rows * fraction),
                parameter_set="aligned",
                threads=None,
                cores=engine.cores,
                rounds=self.rounds,
                worker=engine.placement,
            )
            for engine in self.engines
            for fraction in FRACTIONS
        ]

    def engine(self, key: str) -> Engine:
        """Returns the engine of a cell."""
        return self._by_key[key]

    @cached_property
    def _by_key(self) -> dict[str, Engine]:
        return {
            cell.key: engine
            for cell, engine in zip(self.grid, np.repeat(np.array(self.engines, object), len(FRACTIONS)), strict=True)
        }

    def measure(self, piece: Piece) -> Measured:
        """Returns what one piece shows."""
        engine, fraction = self.engine(piece.cell.key), piece.cell.fraction
        seconds = engine.seconds(fraction) * self._factor(piece, engine)
        self._clock += seconds
        if seconds > self.deadline:
            return Measured(None, self.deadline, failure=Failure("timeout", limit=self.deadline))
        return Measured(seconds, 1.1 * seconds, self.quality(piece.cell.key, piece.round))

    def _factor(self, piece: Piece, engine: Engine) -> float:
        """Returns the noise of one measurement, as a factor. The drift depends on the time of the measurement."""
        random = np.random.default_rng([self.seed, 1, piece.round, _number(piece.cell.key)])
        factor = math.exp(engine.noise * float(random.standard_normal()))
        if random.random() < self.tails:
            factor *= float(random.uniform(1.3, 3.0))
        phase = 2 * math.pi * float(np.random.default_rng([self.seed, 2]).random())
        return factor * math.exp(self.drift * math.sin(phase + self._clock / self._period))

    @cached_property
    def _period(self) -> float:
        """The drift repeats about three times in the time of the full grid."""
        return max(1.0, self.full_seconds() / (3 * 2 * math.pi))

    def quality(self, key: str, number: int) -> UnitQuality:
        """Returns the quality of a cell's model in one round."""
        if (key, number) not in self._qualities:
            engine, fraction = self.engine(key), float(key.rpartition("|")[2])
            random = np.random.default_rng([self.seed, 3, number, _number(key)])
            scale = fraction**-0.25
            values = (
                engine.quality(fraction)
                + self.by_unit(key)
                + self.seed_noise * scale * random.standard_normal()
                + self.cell_noise * scale * random.standard_normal(self.units)
            )
            rows = np.full(self.units, ROWS_OF_UNIT)
            self._qualities[key, number] = UnitRatio(values * rows, rows, rows)
        return self._qualities[key, number]

    def by_unit(self, key: str) -> Array:
        """Returns the part of a cell's quality that depends on the unit, of shape (units,). Its mean is random."""
        fraction = float(key.rpartition("|")[2])
        common = np.random.default_rng([self.seed, 4]).normal(0, 0.02, self.units)
        own = np.random.default_rng([self.seed, 5, _number(key)]).normal(0, self.unit_noise, self.units)
        result: Array = common + own * (1 + (1 - fraction)) / 2
        return result

    def start(self, cell: GridCell, number: int) -> float:
        """Returns the seconds that a worker takes to start."""
        random = np.random.default_rng([self.seed, 6, number, _number(cell.cluster)])
        return (1.0 if cell.placement == "node" else 8.0) * float(random.uniform(0.8, 1.2))

    def warm_up(self, cell: GridCell, number: int) -> float:
        """Returns the seconds of the warm-ups of a cell's engine."""
        random = np.random.default_rng([self.seed, 7, number])
        times = 1 if cell.placement == "node" else 2
        return times * self.engine(cell.key).seconds(FRACTIONS[0]) * float(random.uniform(1.0, 1.5))

    def criterion(self, key: str) -> Criterion | None:  # noqa: ARG002
        """Returns the criterion of a cell."""
        return ACCURACY

    def gives_up(self, whole: str, part: str, rounds: Sequence[int]) -> Step | None:
        """Returns the quality that a cell gives up against another in some rounds."""
        key = (whole, part, tuple(rounds))
        if key not in self._steps:
            pairs = [(self.quality(whole, number), self.quality(part, number)) for number in rounds]
            self._steps[key] = Step.of(float(part.rpartition("|")[2]), pairs, ACCURACY)
        return self._steps[key]

    def full_seconds(self) -> float:
        """Returns the seconds of the full grid, with starts and warm-ups. Drift and noise are left out."""
        total = 0.0
        for engine in self.engines:
            total += sum(min(1.1 * engine.seconds(fraction), self.deadline) for fraction in FRACTIONS)
            total += (1 if engine.placement == "node" else 2) * 1.25 * engine.seconds(FRACTIONS[0])
        places = {(engine.cluster, engine.placement) for engine in self.engines}
        total += sum(1.0 if placement == "node" else 8.0 for _, placement in places)
        return self.rounds * total

    # The truth

    @cached_property
    def truths(self) -> Mapping[str, Truth]:
        """The right answers."""
        node = [engine for engine in self.engines if engine.placement == "node"]
        timely = [engine for engine in node if engine.seconds(1.0) <= self.deadline] or node
        allowed = self._fastest(timely)
        enough = {
            (engine.name, fraction): bool(engine.quality(1) - engine.quality(fraction) <= ACCURACY.tolerance)
            for engine in self.engines
            for fraction in FRACTIONS[:-1]
        }
        return {SUBJECT: Truth(allowed, enough, self._pays(node), self._workers(node))}

    def _fastest(self, node: Sequence[Engine]) -> frozenset[str]:
        """Returns the engines that may be named the fastest.

        It is the fastest of those with a model that is not worse. For some engines the truth and what this hold-out
        would show in many rounds differ. Both answers are then allowed. Of several equally fast engines, none may be
        named.
        """
        allowed = set()
        for shown in (False, True):
            kept = [engine for engine in node if not self._is_worse(engine, node, shown)]
            least = min(engine.seconds(1.0) for engine in kept)
            best = [engine.name for engine in kept if engine.seconds(1.0) <= least * (1 + 1e-9)]
            allowed |= set(best) if len(best) == 1 else set()
        return frozenset(allowed)

    def _is_worse(self, engine: Engine, others: Sequence[Engine], shown: bool) -> bool:
        """Returns true if an engine's model is worse: in truth, or as this hold-out would show in many rounds."""
        best = max(others, key=lambda other: other.quality(1.0))
        gap = best.quality(1.0) - engine.quality(1.0)
        if not shown:
            return gap > ACCURACY.tolerance
        differences = gap + self.by_unit(_full(best)) - self.by_unit(_full(engine))
        error = float(differences.std(ddof=1)) / math.sqrt(self.units)
        return float(differences.mean()) - float(stdtrit(self.units - 1, 0.975)) * error > ACCURACY.tolerance

    def _pays(self, node: Sequence[Engine]) -> dict[str, bool | None]:
        """Returns for each engine on Spark whether it is the fastest with FARTHEST times the rows.

        It is not known if an engine is worse in truth, or as shown, but not both. It is not known either if the
        answer differs for an engine that a time limit keeps from the largest sizes.
        """
        pays: dict[str, bool | None] = {}
        for engine in self.engines:
            if engine.placement == "spark":
                answers = set()
                reach = max((one for one in FRACTIONS if engine.seconds(one) < self.deadline), default=FRACTIONS[0])
                for shown, share in ((False, 1.0), (True, 1.0), (False, reach)):
                    kept = [other for other in node if not self._is_worse(other, node, shown)]
                    least = min(other.seconds(FARTHEST * share) for other in kept)
                    worse = self._is_worse(engine, [*kept, engine], shown)
                    answers.add(engine.seconds(FARTHEST * share) < least and not worse)
                pays[engine.name] = pays.get(engine.name) or (answers.pop() if len(answers) == 1 else None)
        return pays

    def _workers(self, node: Sequence[Engine]) -> str:
        spark = [engine for engine in self.engines if engine.placement == "spark"]
        if not spark:
            return ""
        best = min(spark, key=lambda engine: engine.seconds(1.0))
        least = min(engine.seconds(1.0) for engine in node if not self._is_worse(engine, node, shown=False))
        beats = [engine.cores for engine in spark if engine.seconds(1.0) < least]
        return choices.of_workers(best.name, best.cluster, min(beats, default=None))


def _full(engine: Engine) -> str:
    return f"{engine.name}|{engine.cluster}|1.0"


def _number(key: str) -> int:
    """Returns a number for a text, the same in every process."""
    return int.from_bytes(key.encode()[-24:], "little") % (2**63)


def _between(random: np.random.Generator, low: float, high: float) -> float:
    """Returns a number that is evenly distributed on the logarithmic scale."""
    return float(math.exp(random.uniform(math.log(low), math.log(high))))


def world(kind: str, seed: int) -> Synthetic:
    """Returns a random world of a kind. Equal seeds give equal worlds."""
    random = np.random.default_rng([seed, KINDS.index(kind)])
    fastest, steep = _between(random, 0.5, 40.0), _between(random, 0.0002, 0.02)
    node = [
        _node(random, f"node{number}", fastest * (1 if not number else _between(random, 1.05, 12)), steep)
        for number in range(int(random.integers(1, 5)))
    ]
    while kind in ("tie", "near-tie", "slow starter", "worse model") and len(node) < 2:
        node.append(_node(random, f"node{len(node)}", fastest * _between(random, 1.05, 12), steep))
    clusters = {"local": 2} if kind != "workers" else {"one": 1, "two": 2, "four": 4}
    spark = [
        _spark(random, f"spark{number}", cluster, cores, fastest, steep)
        for number in range(1 if kind == "workers" else int(random.integers(1, 4)))
        for cluster, cores in clusters.items()
    ]
    node, spark = _difficult(kind, random, node, spark)
    made = Synthetic(
        kind,
        seed * 100 + KINDS.index(kind),
        (*node, *spark),
        rows=int(_between(random, 1e5, 5e6)),
        rounds=int(random.integers(5, 9)),
        units=6 if kind == "few units" else int(random.choice([12, 30, 100])),
        tails=0.1 if kind == "heavy tails" else 0.02,
        drift=0.2 if kind == "drift" else 0.02,
    )
    if kind == "timeouts":
        made.deadline = 1.3 * min(engine.seconds(1.0) for engine in node)
    return made


def _node(random: np.random.Generator, name: str, seconds: float, steep: float) -> Engine:
    fixed = min(seconds / 2, _between(random, 0.02, 0.5))
    steep *= _between(random, 0.8, 1.25)
    best = 0.8 - float(random.choice([0.0, 0.0, 0.001]))
    return Engine(name, "node", "local", 2, fixed, seconds - fixed, _between(random, 0.02, 0.12), best, steep)


def _spark(random: np.random.Generator, name: str, cluster: str, cores: int, fastest: float, steep: float) -> Engine:
    slope = fastest * _between(random, 0.15, 15.0) * (2 / cores) ** 0.8
    fixed = _between(random, 1.5, 8.0)
    steep *= _between(random, 0.8, 1.25)
    return Engine(name, "spark", cluster, cores, fixed, slope, _between(random, 0.04, 0.2), 0.8, steep)


def _difficult(
    kind: str, random: np.random.Generator, node: list[Engine], spark: list[Engine]
) -> tuple[list[Engine], list[Engine]]:
    """Returns the engines with the difficulty of a kind."""
    first = node[0]
    if kind in ("tie", "near-tie"):
        factor = 1.0 if kind == "tie" else float(random.uniform(1.01, 1.1))
        node[1] = _changed(node[1], fixed=first.fixed * factor, slope=first.slope * factor)
    if kind == "slow starter":
        # the first engine is the slowest with few rows, and the fastest with all
        node[0] = _changed(first, fixed=0.4 * first.seconds(1.0), slope=0.4 * first.seconds(1.0))
        node[1:] = [_changed(one, fixed=0.02, slope=one.slope + one.fixed) for one in node[1:]]
    if kind == "late crossover":
        at = FARTHEST * _between(random, 0.1, 4.0)  # the crossing, in units of all rows
        fixed = spark[0].fixed
        slope = (first.seconds(at) - fixed) / at
        spark[0] = _changed(spark[0], slope=max(slope, 0.05 * first.slope))
    if kind == "bent times":
        node = [_changed(one, bend=float(random.uniform(0.85, 1.2))) for one in node]
        spark = [_changed(one, bend=float(random.uniform(0.85, 1.2))) for one in spark]
    if kind == "worse model":
        node[0] = _changed(first, best=0.8 - _between(random, 0.002, 0.05))
    return node, spark


def _changed(engine: Engine, **fields: float) -> Engine:
    return replace(engine, **fields)  # type: ignore[arg-type]
