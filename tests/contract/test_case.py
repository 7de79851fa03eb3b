"""Fractions and the identity of a case."""

import pytest

from sparkscale.contract.case import parse_fraction, show_fraction
from tests.builders import CASE


@pytest.mark.parametrize("text", ["1", "1/2", "1/4", "1/8", "1/16", "1/32", "1/64"])
def test_a_fraction_reads_as_it_is_written(text: str) -> None:
    assert show_fraction(parse_fraction(text)) == text


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.01, "1/100"), (1 / 3, "1/3"), (0.3, "0.3"), (0.7, "0.7"), (0.99, "0.99")]
)
def test_any_fraction_has_a_text_that_is_not_another_fraction(fraction: float, text: str) -> None:
    assert show_fraction(fraction) == text


def test_threads_that_are_not_known_are_an_error_where_they_are_needed() -> None:
    assert CASE.known_threads == 2
    with pytest.raises(ValueError, match=r"The threads of w e d 1/4 are not known"):
        _ = CASE.model_copy(update={"threads": None}).known_threads


@pytest.mark.parametrize("text", ["1/3", "1/128", "2", "0", "-1", "half", ""])
def test_what_is_no_fraction_of_64_slices_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_fraction(text)


def test_identity_depends_on_content_only() -> None:
    reordered = CASE.model_copy(update={"params": dict(reversed(CASE.params.items()))})
    assert reordered.id == CASE.id
    assert CASE.model_copy(update={"rows": 11}).id != CASE.id
    assert CASE.model_copy(update={"params": {**CASE.params, "a": 2}}).id != CASE.id


def test_identity_is_stable_across_releases() -> None:
    """A history of records is lost when this changes: raise a workload's version instead."""
    assert CASE.id == "ebc253b84f438313"


def test_cases_that_differ_in_their_seeds_are_one_experiment() -> None:
    other = CASE.model_copy(
        update={
            "sample_seed": 7,
            "model_seed": 8,
            "rows": 77,
            "params": {**CASE.params, "arguments": {"regParam": 1}},
        }
    )
    assert other.id != CASE.id
    assert other.experiment == CASE.experiment
    for changed in ({"fraction": 0.5}, {"engine": "mllib"}, {"params": {**CASE.params, "trees": 9}}, {"threads": 1}):
        assert CASE.model_copy(update=changed).experiment != CASE.experiment
