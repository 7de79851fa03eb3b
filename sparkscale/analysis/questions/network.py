"""The network term of a forecast: the seconds that a shuffle between hosts adds, calibrated on emulated hosts.

For one engine on one data set, the seconds of a job are modelled by

    seconds = a + γ · t,   t = 8 · bytes per host / rate

`bytes per host` are the shuffled bytes that a host receives from other hosts (Spark's `Remote Bytes Read`, divided by
the number of hosts). `rate` is the measured rate of a host's link in bits per second. t is the time of the transfer
alone. The share γ ≥ 0 of it prolongs the job; the rest overlaps computing. γ may exceed 1, because hosts may receive
unequal amounts. Both coefficients are fitted to relative residuals at two or more rates.

The term leaves out all other traffic: broadcasts, results for the driver, and messages between the workers of XGBoost
or PyTorch. It also leaves out the files that hosts read, because emulated hosts share a disk.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import stdtrit

from sparkscale.analysis import metrics
from sparkscale.analysis.blocks import Estimated
from sparkscale.analysis.conditions import is_emulated
from sparkscale.analysis.links import Link, link_of
from sparkscale.analysis.questions.fitting import LEVEL, geometric_means, non_negative
from sparkscale.analysis.statistics import FEWEST_ROUNDS, Interval, rounds_interval
from sparkscale.contract.case import Case, digest
from sparkscale.contract.phrases import bit_rate, count, named, number
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

FEWEST_RATES = 2
"""The model has two coefficients, so it needs this many rates."""
LEAST_SPREAD = 1.5
"""Rates that differ by less than this factor do not tell the coefficients apart."""
NEGLIGIBLE_BYTES = 1e6
"""A host that receives fewer bytes does not wait for them: at 100 Mbit/s they take 0.08 s."""

SHOWN_RATES = (1e9, 1e8)
"""The rates for which sentences state the term, in bits per second, unless they are beyond the measured ones."""
NEAR = 0.9
"""Below this share of the requested rate, the machine does not carry it."""
BEYOND = 0.8
"""A rate below this share of the slowest measured rate is beyond it: computing may hide less of a longer transfer."""
LINK_SETTINGS = ("name", "summary", "price", "rate")
"""The fields of a profile that may differ between the rates of a term."""

Place = tuple[str, float]
"""The name of an emulated cluster, and the requested rate of its links in bits per second.

A file may have another rate in a later run.
"""
Round = tuple[tuple[int, int], int]
"""The seeds of a round, and the number of the repetition with these seeds."""


@dataclass(frozen=True)
class AtRate:
    """The executions of a case on one emulated cluster. `seconds` holds those of all phases, by round.

    `bytes_per_host` is the median over the executions.
    """

    link: Link
    rate: float
    """The median of the rates that were measured at the starts of the cluster, in bits per second."""
    seconds: dict[Round, float]
    bytes_per_host: float

    @property
    def stated_rate(self) -> float:
        """The rate that sentences name: the requested one, or the measured one if that is much slower."""
        requested = self.link.requested
        return requested if self.rate >= NEAR * requested else self.rate

    @property
    def transfer_seconds(self) -> float:
        """The seconds that a host needs to receive its shuffled bytes, if it does nothing else."""
        return 8 * self.bytes_per_host / self.rate


@dataclass(frozen=True)
class NetworkTerm:
    """The network term of one engine on one data set, with its evidence. `at` begins with the fastest link.

    `hosts` is the number of emulated hosts.
    """

    case: Case
    hosts: int
    at: tuple[AtRate, ...]
    left_out: frozenset[float] = field(default=frozenset())
    """The requested rates that are not used, to predict them from the other rates."""

    @property
    def rates(self) -> tuple[float, ...]:
        """The rates that the term is calibrated on, in bits per second, the fastest first. See `stated_rate`."""
        return tuple(one.stated_rate for one in self._used)

    @cached_property
    def _used(self) -> tuple[AtRate, ...]:
        return tuple(one for one in self.at if one.link.requested not in self.left_out)

    @cached_property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds that have a time at every rate."""
        shared = set.intersection(*(set(one.seconds) for one in self.at)) if self.at else set()
        return tuple(sorted(shared))

    @property
    def bytes_per_host(self) -> float:
        """The shuffled bytes that each host receives from other hosts: the median over the rates."""
        return float(np.median([one.bytes_per_host for one in self._used]))

    @property
    def is_free(self) -> bool:
        """True if the engine sends almost no shuffled bytes to other hosts. Then the term is 0."""
        return self.bytes_per_host < NEGLIGIBLE_BYTES

    @property
    def why_none(self) -> str:
        """The reason why the term is not calibrated. Empty if it is, or if it is 0."""
        measured = [one.rate for one in self._used]
        if self.is_free:
            return self._other_traffic
        if len({one.link.requested for one in self._used}) < FEWEST_RATES:
            return "it was measured at one rate only: measure it on emulated hosts with links of another rate"
        if max(measured) < LEAST_SPREAD * min(measured):
            return (
                f"the measured rates differ by less than a factor of {LEAST_SPREAD:g}: measure it on emulated hosts "
                "with a slower link"
            )
        return self._unsuited_rounds

    @property
    def _unsuited_rounds(self) -> str:
        """The reason why the times of the rounds give no term. Empty if they do."""
        if not self.rounds:
            return "no round has a time at every rate: measure the same rounds on all emulated clusters"
        if len(self.rounds) < FEWEST_ROUNDS:
            return (
                f"it has a time at every rate in {count(len(self.rounds), 'round')} only: measure at least "
                f"{FEWEST_ROUNDS} on each cluster"
            )
        slowest = self._used[-1]
        difference = rounds_interval(self.differences(slowest), of_ratios=False)
        if difference.high < 0:
            return (
                f"it took {-difference.high:.2f} to {-difference.low:.2f} s less at {bit_rate(slowest.stated_rate)} "
                "than on the fastest link, so something else than the links changed its times: measure it on an idle "
                "machine"
            )
        return ""

    @property
    def _other_traffic(self) -> str:
        """Says that the job is slower on the slowest link although almost nothing is shuffled. Empty if it is not."""
        slowest = self.at[-1]
        if slowest is self.at[0]:
            return ""
        differences = self.differences(slowest)
        if len(differences) < FEWEST_ROUNDS or rounds_interval(differences, of_ratios=False).low <= 0:
            return ""
        mean = sum(differences) / len(differences)
        return (
            f"it sends almost no shuffled bytes to other hosts, but took {mean:.2f} s longer at "
            f"{bit_rate(slowest.link.requested)}: the term leaves out its other traffic"
        )

    @property
    def shown_rates(self) -> tuple[float, ...]:
        """The rates for which sentences state the term: none that are slower than the measured ones.

        If all of SHOWN_RATES are slower, these are the rates that the term is calibrated on.
        """
        slowest = min(one.rate for one in self._used)
        return tuple(rate for rate in SHOWN_RATES if rate >= BEYOND * slowest) or self.rates

    @cached_property
    def _share(self) -> Estimated:
        """γ of all rounds together, at least 0, with the interval of Student's t over the rounds' own fits.

        The fit of one round may be below 0. A bootstrap of fits that are at least 0 would be too narrow if γ is near
        0 (see `scaling._intervals`). The fit of a round is relative to the median seconds at each rate. Relative to
        its own seconds it would be biased, because slow outliers would count less.
        """
        seconds = np.array([[one.seconds[number] for one in self._used] for number in self.rounds])
        terms = np.array([[1.0, one.transfer_seconds] for one in self._used])
        everything = np.arange(len(seconds))[None]
        value = float(non_negative(terms, geometric_means(seconds, everything))[0, 1])
        if len(seconds) < FEWEST_ROUNDS:
            return Estimated(value)
        usual = np.median(seconds, axis=0)
        slopes = np.linalg.lstsq(terms / usual[:, None], (seconds / usual).T)[0][1]
        half = float(stdtrit(len(slopes) - 1, (1 + LEVEL) / 2) * np.std(slopes, ddof=1) / np.sqrt(len(slopes)))
        mean = float(np.mean(slopes))
        return Estimated(value, Interval(max(0.0, min(mean - half, value)), max(mean + half, value)))

    @property
    def share(self) -> Estimated | None:
        """γ with its interval (level: fitting.LEVEL). None if the term is not calibrated, or if it is 0."""
        return None if self.is_free or self.why_none else self._estimated(1.0)

    def seconds(self, rate: float, bytes_per_host: float | None = None) -> Estimated | None:
        """Returns the seconds that the shuffle adds at this rate, in bits per second, with their interval.

        `bytes_per_host` is the number of shuffled bytes that a host receives; None: as many as were measured. Returns
        None if the term is not calibrated.
        """
        if self.why_none:
            return None
        if self.is_free:
            return Estimated(0.0) if bytes_per_host is None else None
        return self._estimated(8 * (self.bytes_per_host if bytes_per_host is None else bytes_per_host) / rate)

    def bytes_at(self, rows: float, hosts: int) -> float:
        """Returns the shuffled bytes that each of `hosts` hosts receives from the others, for this number of rows.

        This assumes that shuffled bytes grow in proportion to the rows, and that each host sends an equal part of its
        bytes to every host, itself included.
        """
        shuffled = self.bytes_per_host * self.hosts**2 / (self.hosts - 1) if self.hosts > 1 else 0.0
        return shuffled * rows / self.case.rows * (hosts - 1) / hosts**2

    def words(self, rows: float, hosts: int) -> str:
        """Returns a sentence with the term for a job of another size, and the rates of its calibration."""
        engine = self.case.engine
        if self.why_none:
            return f"{engine} has no network term, because {self.why_none}."
        received = self.bytes_at(rows, hosts)
        if self.is_free:
            if received < NEGLIGIBLE_BYTES:
                return f"{engine} sends almost no shuffled bytes to other hosts, so its network term is 0."
            return (
                f"{engine} has no network term for this size, because it was measured on emulated hosts with "
                f"{self.case.rows:,} rows only, which send almost no shuffled bytes: measure more rows there."
            )
        parts = [
            f"{estimated_words(self._estimated(8 * received / rate))} s at {bit_rate(rate)}"
            for rate in self.shown_rates
        ]
        return (
            f"{engine} on {count(hosts, 'host')}: each receives {number(received / 1e6)} MB of shuffled rows from "
            f"the others, if they grow with the rows, which adds {' and '.join(parts)} (calibrated on emulated "
            f"hosts at {named([bit_rate(one) for one in self.rates])}; emulated, so not measured on "
            "a real network)."
        )

    def added(self, slower: AtRate) -> Estimated | None:
        """Returns the seconds that the term predicts between the fastest link and a slower one.

        Returns None if the term is not calibrated.
        """
        if self.why_none:
            return None
        if self.is_free:
            return Estimated(0.0)
        return self._estimated(slower.transfer_seconds - self.at[0].transfer_seconds)

    def without(self, one: AtRate) -> "NetworkTerm":
        """Returns the term that is calibrated on the other rates only."""
        return NetworkTerm(self.case, self.hosts, self.at, frozenset({one.link.requested}))

    def differences(self, slower: AtRate) -> list[float]:
        """Returns the seconds that the job took longer than on the fastest link, for each round that both have."""
        fastest = self.at[0].seconds
        return [slower.seconds[number] - fastest[number] for number in sorted(fastest.keys() & slower.seconds.keys())]

    def _estimated(self, factor: float) -> Estimated:
        bounds = self._share.interval
        interval = bounds and Interval(factor * bounds.low, factor * bounds.high)
        return Estimated(factor * self._share.value, interval)


def estimated_words(estimated: Estimated) -> str:
    """Returns a value with its interval as text: "4.93 (4.51–5.32)"."""
    bounds = estimated.interval
    return f"{estimated.value:.2f}" + (f" ({bounds.low:.2f}–{bounds.high:.2f})" if bounds else "")


def network_terms(store: Store, records: Iterable[RunRecord]) -> list[NetworkTerm]:
    """Returns the network term of each engine that was measured on emulated hosts, in the order of the records.

    Only warm executions with a valid time count. Records without `shuffle_remote_bytes` or without a measured link
    are left out. Everything but the rate of the links is the same for all executions of a term.
    """
    subjects: dict[Any, dict[Place, list[tuple[RunRecord, Link]]]] = defaultdict(lambda: defaultdict(list))
    by_run: dict[str, list[RunRecord]] = defaultdict(list)
    for record in records:
        by_run[record.invocation].append(record)
    for record in metrics.timed([each for of_run in by_run.values() for each in metrics.latest(of_run)]):
        link = link_of(store, record) if is_emulated(record) else None
        if link and record.spark and record.spark.shuffle_remote_bytes is not None and not record.isolated:
            profile = (store.content(record.session) or {}).get("profile") or {}
            place = record.case.cluster, link.requested
            subjects[_subject(record, link, profile)][place].append((record, link))
    return [_term(by_place) for by_place in subjects.values()]


def term_of(terms: Sequence[NetworkTerm], case: Case) -> NetworkTerm | None:
    """Returns the term of a case's workload and engine at the nearest number of rows, the newest of several.

    Terms that are calibrated come first. None if there is no term.
    """
    key = case.workload, case.version, case.engine, case.device
    suited = [
        term for term in terms if key == (term.case.workload, term.case.version, term.case.engine, term.case.device)
    ]
    calibrated = [term for term in suited if not term.why_none]

    def distance(term: NetworkTerm) -> float:
        return abs(math.log((term.case.rows + 1) / (case.rows + 1)))

    return min(reversed(calibrated or suited), key=distance, default=None)


def _subject(record: RunRecord, link: Link, profile: Mapping[str, Any]) -> tuple[object, ...]:
    """Returns what is the same at all rates: the case without its cluster, the machine, the software and so on.

    `profile` describes the emulated cluster.
    """
    anywhere = record.case.model_copy(update={"cluster": ""})
    key = anywhere.subject_key("version", "engine", "fraction", "threads")
    settings = digest({name: value for name, value in profile.items() if name not in LINK_SETTINGS})
    resources = record.resources.cores, record.resources.page_cache
    return key, record.host, record.software, _hosts(record), resources, link.delay_seconds, settings


def _hosts(record: RunRecord) -> int:
    return (record.spark.hosts if record.spark else None) or 1


def _term(by_place: dict[Place, list[tuple[RunRecord, Link]]]) -> NetworkTerm:
    at = [_at_rate(pairs) for pairs in by_place.values()]
    first, _ = next(iter(by_place.values()))[0]
    return NetworkTerm(first.case, _hosts(first), tuple(sorted(at, key=lambda one: -one.rate)))


def _at_rate(pairs: Sequence[tuple[RunRecord, Link]]) -> AtRate:
    seconds: dict[Round, float] = {}
    repeats: dict[tuple[int, int], int] = defaultdict(int)
    for record, _ in sorted(pairs, key=lambda pair: (pair[0].invocation, pair[0].round)):
        seconds[record.case.seeds, repeats[record.case.seeds]] = sum(record.seconds.values())
        repeats[record.case.seeds] += 1
    received = [(record.spark.shuffle_remote_bytes or 0) / _hosts(record) for record, _ in pairs if record.spark]
    rate = float(np.median([link.measured for _, link in pairs]))
    return AtRate(pairs[0][1], rate, seconds, float(np.median(received)))
