"""What to measure next: proposals narrow intervals more than other sets that take as long, and keep their limits."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from sparkscale.analysis.questions.design import Candidate, Place, Proposal, candidates, propose
from sparkscale.analysis.questions.runtime_model import Run, RuntimeModel, fit
from sparkscale.contract.errors import ConfigError

MEASURED = [(size, m) for size in (1000.0, 2000.0, 4000.0) for m in (1.0, 2.0, 4.0)]
PLACES = [(500.0 * 2**step, m) for step in range(6) for m in (1.0, 2.0, 4.0, 8.0, 16.0)]
TARGET = (32_000.0, 8.0)


def seconds(place: Place, seed: int, repeat: int = 0) -> float:
    """A job with shares of work, messages and a fixed cost that differ by seed. Its noise is 4 %."""
    size, m = place
    fixed, parallel, messages, serial = np.random.default_rng(seed).dirichlet([1, 2, 1, 1])
    noise = np.random.default_rng([seed, int(size), int(m), repeat]).standard_normal()
    work = 20 * fixed + parallel * size / m / 50 + 8 * messages * m + serial * size / 200
    return float(work * math.exp(0.04 * noise))


def runs(places: Sequence[Place], seed: int, repeat: int = 0) -> list[Run]:
    return [Run(*place, seconds(place, seed, repeat)) for place in places]


def model_of(seed: int = 0) -> RuntimeModel:
    return fit(runs(MEASURED, seed))


def half_width(model: RuntimeModel) -> float:
    interval = model.predict(*TARGET).interval
    assert interval is not None
    return math.log(interval.high / interval.low) / 2


def after(seed: int, added: Sequence[Place]) -> float:
    return half_width(fit([*runs(MEASURED, seed), *runs(added, seed, repeat=1)]))


def filled(possible: Sequence[Candidate], within: float, order: Sequence[int]) -> list[Place]:
    """The runs in an order, as many as end in time."""
    places, left = [], within
    for position in order:
        each = possible[position]
        if each.high <= left:
            places.append((each.size, each.scale_out))
            left -= each.high
    return places


@pytest.mark.parametrize("share", [1.0, 2.0])
def test_a_proposal_narrows_more_than_other_sets_that_take_as_long(share: float) -> None:
    """The others are random sets, and the cheapest runs. All take about `share` times as long as the target."""
    widths = []
    for seed in range(30):
        model = model_of(seed)
        possible, _ = candidates(model, PLACES)
        within = share * (model.predict(*TARGET).seconds or math.nan)
        proposed = [(each.size, each.scale_out) for each in propose(model, possible, [TARGET], within).runs]
        at_random = filled(possible, within, list(np.random.default_rng(seed).permutation(len(possible))))
        cheapest = filled(possible, within, list(np.argsort([each.high for each in possible])))
        widths.append([half_width(model), *(after(seed, each) for each in (proposed, at_random, cheapest))])
    before, by_proposal, by_random, by_cheapest = np.mean(widths, axis=0)
    assert by_proposal < 0.8 * before
    assert by_proposal < 0.85 * min(by_random, by_cheapest)


def proposal(within: float, targets: Sequence[Place] = (TARGET,)) -> Proposal:
    model = model_of()
    return propose(model, candidates(model, PLACES)[0], targets, within)


@pytest.mark.parametrize("within", [5.0, 60.0, 400.0])
def test_a_proposal_ends_in_time(within: float) -> None:
    proposed = proposal(within)
    assert proposed.seconds <= proposed.high <= within


def test_more_time_narrows_more() -> None:
    widths = [proposal(within).after[0] for within in (30.0, 300.0, 3000.0)]
    assert None not in widths
    assert widths == sorted(widths, reverse=True) and widths[0] > 1.5 * widths[-1]  # type: ignore[type-var, operator]


def test_without_time_for_any_run_nothing_is_proposed() -> None:
    proposed = proposal(0.1)
    assert proposed.runs == () and proposed.before == proposed.after


def test_a_run_that_identifies_a_term_is_proposed() -> None:
    """From two scale-outs, the cost of more nodes is not known, and no larger one is predicted."""
    model = fit(runs([place for place in MEASURED if place[1] < 4], 0))
    assert model.predict(*TARGET).seconds is None
    possible, _ = candidates(model, PLACES)
    proposed = propose(model, possible, [TARGET], 300.0)
    assert max(each.scale_out for each in proposed.runs) > 2
    assert proposed.before == (None,)
    assert proposed.after[0] is not None and proposed.after[0] > 0


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ((50_000.0, 4.0), "more than 10 times the largest measured size"),
        ((4000.0, 50.0), "more than 10 times the largest measured scale-out"),
        ((50.0, 4.0), "less than a 10th of the smallest measured size"),
    ],
)
def test_nothing_beyond_10_times_is_a_candidate(place: Place, why: str) -> None:
    possible, left_out = candidates(model_of(), [place])
    assert possible == []
    assert left_out[place].startswith(why)


def test_nothing_that_may_be_beyond_memory_is_a_candidate() -> None:
    slow = [
        Run(each.size, each.scale_out, each.seconds * (4 if (each.size, each.scale_out) == (4000, 1) else 1))
        for each in runs(MEASURED, 0)
    ]
    model = fit(slow)
    assert len(model.beyond_memory) == 1
    possible, left_out = candidates(model, [(8000.0, 1.0), (8000.0, 4.0)])
    assert [(each.size, each.scale_out) for each in possible] == [(8000.0, 4.0)]
    assert left_out[8000.0, 1.0].startswith("perhaps beyond memory")


def test_a_run_without_a_prediction_may_take_twice_what_its_size_suggests() -> None:
    model = fit([Run(1000.0, m, 10 / m + 2) for m in (1.0, 2.0, 4.0)])
    (candidate,), _ = candidates(model, [(3000.0, 4.0)])
    assert candidate.seconds == pytest.approx(3 * 4.5)
    assert candidate.high == pytest.approx(2 * candidate.seconds)


def test_several_targets_are_narrowed_together() -> None:
    targets = [TARGET, (8000.0, 16.0)]
    both = proposal(600.0, targets)
    for before, narrowed in zip(both.before, both.after, strict=True):
        assert before is not None and narrowed is not None and narrowed < before


def test_a_proposal_needs_a_target_and_time() -> None:
    with pytest.raises(ConfigError, match="nothing can be proposed for 0 targets within 60 s"):
        proposal(60.0, [])
    with pytest.raises(ConfigError, match="within -1 s"):
        proposal(-1.0)
