"""Plans a job: the options, the models behind them, and the option to use."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.questions.plan.basis import Basis
from sparkscale.analysis.questions.plan.memory import memory
from sparkscale.analysis.questions.plan.options import FRACTIONS, Judge, Option, other_kind, possible, spans
from sparkscale.analysis.questions.plan.quality import Qualities, qualities
from sparkscale.analysis.questions.plan.times import Coverage, Sizes, Times, coverage, sizes, times
from sparkscale.analysis.questions.plan.wish import Offer, Place, Wish, places
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import named, number


@dataclass(frozen=True)
class Plan:
    """The answer of `sparkscale plan`. `options` are in the order of preference: those that meet the wish first."""

    basis: Basis
    wish: Wish
    judge: Judge
    sizes: Sizes
    times: tuple[Times, ...]
    qualities: Qualities | None
    options: tuple[Option, ...]

    @property
    def chosen(self) -> Option | None:
        """The option to use. None if none meets the wish."""
        first = self.options[0]
        return first if first.verdict.startswith("meets") else None

    @property
    def answer(self) -> Option:
        """The chosen option, or the nearest one."""
        return self.options[0]

    @cached_property
    def coverage(self) -> Coverage:
        """How often predictions of the measured configurations were right."""
        return coverage(self.times)

    def times_of(self, option: Option) -> Times:
        """Returns the times of the engine of an option."""
        return next(one for one in self.times if one.job is option.job)


def plan(basis: Basis, wish: Wish, offers: Sequence[Offer] = (), executors: Sequence[int] | None = None) -> Plan:
    """Returns the plan for a wish.

    `offers` are the offered profiles (default: the measured ones), and `executors` the numbers of executors to
    consider (default: see `Offer.places`). Raises ConfigError if the records or the offers cannot answer the wish.
    """
    profiles = offers or basis.offers
    if not profiles:
        raise ConfigError(
            f"The records of {basis.workload} do not describe their cluster: name the profiles with --cluster."
        )
    _check_names(profiles)
    _check_prices(wish, profiles)
    offered = places(profiles, executors)
    sized = sizes(basis, wish.columns)
    every = tuple(times(job, sized) for job in basis.jobs)
    _check_sizes(basis, every)
    reached = qualities(basis, wish.rows)
    judge = _judge(wish, reached)
    memories = {job: memory(job, sized, basis.offers) for job in basis.jobs}
    of_job = {one.job: one for one in every}
    options = [
        judge.option(of_job[job], memories[job], reached, sized, place, fraction)
        for job, place in possible(basis.jobs, offered)
        for fraction in FRACTIONS
    ]
    if not options:
        raise ConfigError(f"No engine of {basis.workload} that was measured can run on the offered clusters.")
    _check_deadline(wish, every, offered)
    return Plan(basis, wish, judge, sized, every, reached, tuple(sorted(options, key=lambda one: one.key)))


def _judge(wish: Wish, reached: Qualities | None) -> Judge:
    criterion = reached.criterion if reached and reached.criterion.key else None
    tolerance = criterion.tolerance if criterion else 0.0
    return Judge(wish, tolerance if wish.max_loss is None else wish.max_loss, wish.max_loss is not None, criterion)


def _check_names(offers: Sequence[Offer]) -> None:
    """Raises ConfigError if two offered profiles have the same name."""
    names = [offer.name for offer in offers]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"--cluster has two profiles with the name {twice}: rename one of the files.")


def _check_prices(wish: Wish, offers: Sequence[Offer]) -> None:
    """Raises ConfigError if a budget is given, but no profile has a price, or if currencies differ."""
    prices = [offer.price for offer in offers if offer.price]
    if wish.budget is not None and not prices:
        names = named([offer.name for offer in offers])
        raise ConfigError(
            f"--budget needs a price: add [price] with per_hour, currency, source and date to the profile {names}, "
            "and give its file with --cluster."
        )
    if len(currencies := sorted({price.currency for price in prices})) > 1:
        raise ConfigError(
            f"The profiles have prices in {named(currencies)}, so costs cannot be compared: state them "
            "in one currency."
        )


def _check_sizes(basis: Basis, every: Sequence[Times]) -> None:
    """Raises ConfigError if no engine was measured with several sizes."""
    if any(len(one.sizes) > 1 for one in every):
        return
    only = sorted({size for one in every for size in one.sizes})
    if not only:
        raise ConfigError(f"No execution of {basis.workload} has a time, so no time can be predicted.")
    raise ConfigError(
        f"Every engine of {basis.workload} was measured with one size only ({number(only[-1])} rows): measure "
        'smaller fractions, too, such as fractions = ["1/16", "1/8", "1/4", "1/2", "1"] in a suite.'
    )


def _check_deadline(wish: Wish, every: Sequence[Times], offered: Sequence[Place]) -> None:
    """Raises ConfigError if the deadline is shorter than the fixed cost of every engine, and than every run."""
    of_job = {one.job: one for one in every}
    fixed = [
        (seconds, job.engine)
        for job, place in possible([*of_job], offered)
        if not other_kind(job, place) and (seconds := of_job[job].fixed_seconds(place.cores)) is not None
    ]
    measured = [run.seconds for one in every for run in one.runs]
    if wish.deadline is None or not fixed or min(*measured, *(seconds for seconds, _ in fixed)) <= wish.deadline:
        return
    seconds, engine = min(fixed)
    raise ConfigError(
        f"--deadline {spans(wish.deadline)} is shorter than what even a tiny sample takes: {engine} is the fastest "
        f"with {spans(seconds)}. Give a longer deadline."
    )
