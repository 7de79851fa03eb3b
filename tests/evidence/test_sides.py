"""The simulation of two sides with real noise: few false verdicts, and large differences are found."""

from pathlib import Path

import numpy as np
import pytest

from sparkscale.analysis.questions.two_sides import ALPHA, change, difference
from sparkscale.analysis.questions.two_sides import holm as adjusted_by_holm
from sparkscale.evidence import sides
from sparkscale.evidence.many_sides import holm, measured, verdicts
from sparkscale.evidence.noise import Noise, RealCase, noise_of, real_cases
from tests.builders import case_of
from tests.conftest import Call

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"
COMPARISONS = 1000


@pytest.fixture(scope="module")
def noise() -> Noise:
    return noise_of(real_cases(sorted(RECORDS.glob("*.parquet"))))


def most(comparisons: int) -> float:
    """Returns the largest share that a true rate of ALPHA lets expect, three standard errors above it."""
    return ALPHA + 3 * float(np.sqrt(ALPHA * (1 - ALPHA) / comparisons))


@pytest.mark.parametrize(("rounds", "alpha"), [(3, 0.05), (5, 0.05), (8, 0.05), (9, 0.0236)])
def test_many_comparisons_are_judged_as_one_is(noise: Noise, rounds: int, alpha: float) -> None:
    logs = noise.drawn(np.random.default_rng(rounds), 40, 4, rounds)
    logs[:, 0, 1] += 0.2
    many = measured(logs, alpha)
    adjusted = holm(many.p)
    names = np.array(["not resolved", "same", "worse", "better"])[verdicts(many, adjusted, alpha=alpha)]
    for position, comparison in enumerate(logs):
        single = [difference(np.exp(base).tolist(), np.exp(head).tolist(), alpha) for base, head in comparison]
        assert many.p[position] == pytest.approx([one.p for one in single])
        own = adjusted_by_holm([one.p for one in single])
        assert adjusted[position] == pytest.approx(own)
        assert names[position].tolist() == [change(one, p, alpha=alpha) for one, p in zip(single, own, strict=True)]
    assert rounds == 3 or len(set(names.ravel())) >= 3


@pytest.mark.parametrize("rounds", sides.ROUNDS)
def test_equal_sides_have_few_false_verdicts(noise: Noise, rounds: int) -> None:
    alone = sides.equal(noise, rounds, 1, COMPARISONS)
    together = sides.equal(noise, rounds, 20, COMPARISONS // 5)
    assert alone.false <= most(COMPARISONS)
    assert together.false <= most(COMPARISONS // 5)
    assert together.false_cases <= ALPHA / 20


def test_a_bootstrap_of_medians_has_too_many_false_verdicts() -> None:
    """Equal noise in all cases. An interval of 95 % should miss the true ratio in 5 % of cases."""
    generator = np.random.default_rng(0)
    normal = Noise.of(np.exp(generator.normal(0, 0.05, (50, 5))).tolist())
    assert sides.equal(normal, 3, 1, COMPARISONS).bootstrap > most(COMPARISONS)


def test_p_alone_would_be_wrong_as_often_as_it_may(noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threshold makes most verdicts safer than they must be. Without one, 5 % of verdicts are false."""
    monkeypatch.setattr(sides, "verdicts", lambda of, adjusted: verdicts(of, adjusted, threshold=0))
    assert ALPHA / 2 < sides.equal(noise, 8, 1, 4000).false <= most(4000)


def test_verdicts_without_holms_method_would_be_caught(noise: Noise, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "holm", lambda p: p)
    monkeypatch.setattr(sides, "verdicts", lambda of, adjusted: verdicts(of, adjusted, threshold=0))
    assert sides.equal(noise, 8, 20, COMPARISONS // 5).false > most(COMPARISONS // 5)


@pytest.mark.parametrize("compared", [1, 20])
def test_more_rounds_find_smaller_differences(noise: Noise, compared: int) -> None:
    found = {
        (rounds, factor): sides.planted(noise, rounds, compared, factor, COMPARISONS // 2)
        for rounds in (8, 16)
        for factor in (1.1, 1.3)
    }
    assert 0.3 < found[8, 1.1].detected < found[16, 1.1].detected - 0.05
    assert found[8, 1.1].detected < found[8, 1.3].detected - 0.2
    assert found[16, 1.3].detected > 0.9
    assert max(one.false for one in found.values()) <= most(COMPARISONS // 2)


def test_a_slow_down_as_large_as_the_threshold_is_rarely_found(noise: Noise) -> None:
    found = sides.planted(noise, 12, 1, 1.05, COMPARISONS)
    assert 0 < found.detected <= most(COMPARISONS)


def test_the_control_pairs_engines_of_the_same_case() -> None:
    base = [1.0, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07]
    cases = [
        RealCase("run", case_of(engine="apply-in-pandas"), base),
        RealCase("run", case_of(engine="grouped-map"), [1.001 * time for time in base]),
        RealCase("run", case_of(engine="apply-in-pandas", fraction=0.5), base),
        RealCase("run", case_of(engine="grouped-map", fraction=0.5), [1.3 * time for time in base]),
        RealCase("other run", case_of(engine="grouped-map", fraction=0.125), base),
        RealCase("run", case_of(engine="apply-in-pandas", fraction=0.125), base),
        RealCase("run", case_of(engine="joblib"), base),
    ]
    controls = sides.controls(cases)
    assert [(one.case.fraction, one.rival, one.change) for one in controls] == [
        (0.25, "apply-in-pandas", "same"),
        (0.5, "apply-in-pandas", "worse"),
    ]
    assert controls[1].adjusted_p == pytest.approx(2 * controls[1].measured.p)


def test_the_tables_have_a_row_for_each_number_of_rounds(sparkscale: Call) -> None:
    done = sparkscale("evidence", "sides", str(RECORDS / "inference-speed.parquet"), "--comparisons", "10")
    assert done.returncode == 0, done.stderr
    assert "Equal sides, with the noise of 35 real rounds of 7 cases" in done.stdout
    assert done.stdout.count("│         3 │") == 4
    assert "No case has grouped-map and apply-in-pandas in five rounds or more" in done.stdout
    assert "Each row rests on 10 comparisons" in done.stdout
    assert "No case has an AUC of three different models or more" in done.stdout


def test_too_few_rounds_are_one_sentence(sparkscale: Call) -> None:
    done = sparkscale("evidence", "sides", str(RECORDS / "quick.parquet"))
    assert done.returncode == 2
    assert done.stderr.startswith("Error: These records have 0 cases with 5 rounds or more, and 5 are needed")
