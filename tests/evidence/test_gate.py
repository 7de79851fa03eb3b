"""The simulation of a gate that may end before all its rounds: its verdicts are no more often false."""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.questions.looks import looks
from sparkscale.analysis.questions.two_sides import ALPHA
from sparkscale.analysis.statistics import SEED
from sparkscale.evidence import gate
from sparkscale.evidence.gate import false_at_edge, simulated
from sparkscale.evidence.many_sides import SAME, WORSE
from sparkscale.evidence.noise import Noise, noise_of, real_cases
from tests.conftest import Call
from tests.sequential import Sequential

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"
GATES = 400
SOUND: tuple[gate.Rule, ...] = ("one look", "looks", "looks, ends early", "looks, ends by time")


@pytest.fixture(scope="module")
def noise() -> Noise:
    return noise_of(real_cases(sorted(RECORDS.glob("*.parquet"))))


def most(gates: int, rate: float = ALPHA) -> float:
    """Returns the largest share that this true rate lets expect, three standard errors above it."""
    return rate + 3 * float(np.sqrt(rate * (1 - rate) / gates))


def test_a_simulated_gate_decides_as_a_real_one_does(noise: Noise) -> None:
    factors = (1.3, 1.1, 1.0, 1.0, 1.0, 1.0)
    many = simulated(noise, 12, factors, "looks", 30)
    seed = [SEED, 12, 6, 10_000, 11_000, 13_000]
    logs = noise.drawn(np.random.default_rng(seed), 30, 6, 12)
    logs[:, :, 1] += np.log(factors)[:, None]
    names = np.array(["not resolved", "same", "worse", "better"])
    for position, times in enumerate(np.exp(logs)):
        own = Sequential[int](12)
        for rounds in range(1, 13):
            own.decide(
                {key: (sides[0, :rounds].tolist(), sides[1, :rounds].tolist()) for key, sides in enumerate(times)},
                rounds,
            )
        assert names[many.verdicts[position]].tolist() == [own.verdicts[key].change for key in range(6)]
        assert many.ended[position].tolist() == [own.verdicts[key].rounds for key in range(6)]
    assert (many.ended < 12).any() and (many.verdicts == WORSE).any()


@pytest.mark.parametrize("rule", SOUND)
@pytest.mark.parametrize(("rounds", "compared"), [(8, 1), (12, 1), (12, 12), (12, 60)])
def test_gates_of_equal_sides_have_few_false_verdicts(
    noise: Noise, rule: gate.Rule, rounds: int, compared: int
) -> None:
    """Without a threshold there are more false verdicts than with one."""
    gates = 10 * GATES if compared == 1 else GATES
    assert simulated(noise, rounds, (1.0,) * compared, rule, gates, threshold=0).false <= most(gates)
    assert simulated(noise, rounds, (1.0,) * compared, rule, gates).false <= most(gates)


@pytest.mark.parametrize("compared", [1, 12])
def test_a_test_after_every_round_has_too_many_false_verdicts(noise: Noise, compared: int) -> None:
    naive = simulated(noise, 12, (1.0,) * compared, "naive", 2 * GATES, threshold=0)
    assert naive.false > most(2 * GATES)
    at_the_edge = simulated(noise, 12, (1.0499,), "naive", 2 * GATES)
    assert at_the_edge.false > most(2 * GATES, ALPHA / 2)


@pytest.mark.parametrize("rule", SOUND)
@pytest.mark.parametrize("ratio", gate.EDGES)
def test_few_verdicts_close_to_the_threshold_are_false(noise: Noise, rule: gate.Rule, ratio: float) -> None:
    gates = simulated(noise, 12, (ratio,), rule, 2000)
    assert false_at_edge(ratio, gates) <= most(2000, ALPHA / 2)
    assert ratio == 1.1 or gates.false + gates.share(SAME) > 0


def test_a_false_verdict_depends_on_the_side_of_the_threshold(noise: Noise) -> None:
    gates = simulated(noise, 12, (1.0,), "one look", 1000)
    assert false_at_edge(1.0501, gates) == gates.share(SAME) > 0.2
    assert false_at_edge(1.0499, gates) == gates.false < 0.02


def test_looks_save_rounds_and_lose_little_power(noise: Noise) -> None:
    factors = (1.3,) + (1.0,) * 11
    once = simulated(noise, 12, factors, "one look", GATES)
    several = simulated(noise, 12, factors, "looks", GATES)
    assert once.saved == 0
    assert several.saved > 0.05
    assert several.ended[:, 0].mean() < 10.5
    assert once.share(WORSE, 0) - 0.05 < several.share(WORSE, 0) <= once.share(WORSE, 0) + 0.05
    assert several.share(WORSE, 0) > 0.85


def test_an_early_end_costs_rounds_but_no_more_false_verdicts(noise: Noise) -> None:
    early = simulated(noise, 12, (1.0,) * 12, "looks, ends early", GATES, threshold=0)
    assert set(early.ended[:, 0].tolist()) == set(range(6, 13))
    by_time = simulated(noise, 12, (1.0,) * 12, "looks, ends by time", GATES, threshold=0)
    assert by_time.ended.max() < 12
    assert list(looks(12, compared=12)) == [9, 12]


def test_the_command_prints_each_rule(sparkscale: Call) -> None:
    done = sparkscale("evidence", "gate", str(RECORDS / "inference-speed.parquet"), "--gates", "10")
    assert done.returncode == 0, done.stderr
    for rule in gate.RULES:
        assert done.stdout.count(f"│ {rule} ") == 6
    assert "Each share rests on 10 gates" in done.stdout
