"""The looks of a gate: how they spend the level, and what they decide (errors: tests/evidence/test_gate.py)."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from sparkscale.analysis.questions.looks import fewest_planned, looks
from sparkscale.analysis.questions.two_sides import ALPHA, smallest_p
from tests.sequential import Sequential

Samples = dict[str, tuple[list[float], list[float]]]


def samples(rounds: int, ratios: dict[str, float], spread: float = 0.01, seed: int = 0) -> Samples:
    """Returns the first rounds of comparisons with these ratios: more rounds begin with the same values."""
    generator = np.random.default_rng(seed)
    noise = np.exp(generator.normal(0, spread, (len(ratios), 2, 32)))[:, :, :rounds]
    return {
        key: (base.tolist(), (ratio * head).tolist())
        for (key, ratio), (base, head) in zip(ratios.items(), noise, strict=True)
    }


@pytest.mark.parametrize("rounds", range(1, 40))
@pytest.mark.parametrize("alpha", [0.05, 0.01])
@pytest.mark.parametrize("compared", [1, 20])
def test_the_looks_spend_the_level_and_no_more(rounds: int, alpha: float, compared: int) -> None:
    planned = looks(rounds, alpha, compared)
    assert list(planned) == sorted(planned)
    assert list(planned)[-1] == rounds
    assert math.fsum(planned.values()) == pytest.approx(alpha)
    assert all(compared * smallest_p(after, after) <= level for after, level in planned.items() if after < rounds)
    assert planned[rounds] >= alpha / 2


def test_the_level_is_spent_as_lan_and_demets_say() -> None:
    """The values are those of their function α₁ at a half, at three quarters and at the end."""
    planned = looks(12, 0.05)
    assert list(planned) == [6, 9, 12]
    until = [2 * (1 - norm.cdf(norm.ppf(0.975) / math.sqrt(share))) for share in (0.5, 0.75, 1)]
    assert np.cumsum(list(planned.values())) == pytest.approx(until)


def test_a_look_that_could_decide_nothing_is_left_out() -> None:
    assert list(looks(8)) == [6, 8]
    assert list(looks(8, compared=12)) == [8]
    assert list(looks(6)) == [6]
    assert looks(4) == {4: ALPHA}


@pytest.mark.parametrize("compared", [1, 12, 60])
def test_the_fewest_rounds_suffice_for_a_large_difference(compared: int) -> None:
    rounds = fewest_planned(compared)
    keys = {str(number): 2.0 for number in range(compared)}
    verdicts = {}
    for planned in (rounds, rounds - 1):
        gate = Sequential[str](planned)
        gate.decide(samples(planned, keys), planned)
        verdicts[planned] = {verdict.change for verdict in gate.verdicts.values()}
    assert verdicts == {rounds: {"worse"}, rounds - 1: {"not resolved"}}


def test_large_differences_and_equal_sides_are_decided_early() -> None:
    gate = Sequential[str](12)
    ratios = {"slower": 1.5, "equal": 1.0}
    assert gate.decide(samples(5, ratios), 5) == {}
    assert not gate.is_decided
    verdicts = gate.decide(samples(6, ratios), 6)
    assert {key: verdict.change for key, verdict in verdicts.items()} == {"slower": "worse", "equal": "same"}
    assert {verdict.rounds for verdict in verdicts.values()} == {6}
    assert gate.is_decided


def test_a_verdict_is_final_and_its_values_are_read_no_more() -> None:
    gate = Sequential[str](12)
    gate.decide(samples(6, {"slower": 1.5, "close": 1.05}), 6)
    assert {key: verdict.change for key, verdict in gate.verdicts.items()} == {
        "slower": "worse",
        "close": "not resolved",
    }
    later: Samples = {"slower": ([], []), "close": samples(9, {"slower": 1.5, "close": 1.05})["close"]}
    verdicts = gate.decide(later, 9)
    assert (verdicts["slower"].change, verdicts["slower"].rounds) == ("worse", 6)
    assert verdicts["close"].rounds == 9
    assert not gate.is_decided


@pytest.mark.parametrize(("first", "factor"), [(1.5, 1), (1.0, 2)])
def test_decided_comparisons_count_in_holms_method(first: float, factor: float) -> None:
    """A difference that is decided frees its part of the level for the others. An equal one does not."""
    gate = Sequential[str](16)
    ratios = {"first": first, "close": 1.05}
    gate.decide(samples(8, ratios), 8)
    assert gate.verdicts["first"].is_decided
    left = {"close": samples(16, ratios)["close"]}  # values of decided comparisons may be left out
    verdict = gate.decide(left, 16)["close"]
    assert verdict.adjusted_p == pytest.approx(factor * verdict.measured.p)
    assert gate.verdicts["first"].rounds == 8


def test_the_last_look_spends_what_is_left() -> None:
    gate = Sequential[str](12)
    ratios = {"close": 1.05}
    gate.decide(samples(6, ratios), 6)
    verdict = gate.decide(samples(8, ratios), 8, is_last=True)["close"]
    assert verdict.alpha == pytest.approx(ALPHA - looks(12)[6])
    assert gate.spent == pytest.approx(ALPHA)
    assert gate.decide(samples(9, ratios), 9)["close"].alpha == 0


def test_a_higher_rate_is_better() -> None:
    gate = Sequential[str](8)
    rates = samples(8, {"rate": 2.0, "time": 2.0})
    verdicts = gate.decide(rates, 8, higher_is_better={"rate"})
    assert {key: verdict.change for key, verdict in verdicts.items()} == {"rate": "better", "time": "worse"}
