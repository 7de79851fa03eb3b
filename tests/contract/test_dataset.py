"""Samples of slices and of groups."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import Grouping, Moments, PreparedDataset

FRACTIONS = [2**-j for j in range(6, -1, -1)]

DATA = PreparedDataset(
    name="some",
    dataset_id="0",
    content_hash="0",
    root="/data",
    task="regression",
    columns=(),
    slice_rows=tuple(range(SLICES)),
    holdout_rows=1,
    holdout="random",
    unit_name="row",
    bytes=1,
)


@given(seed=st.integers(0, 2**32))
def test_samples_are_nested_and_merged_files_hold_the_same(seed: int) -> None:
    samples = [set(DATA.slices(fraction, seed)) for fraction in FRACTIONS]
    assert [len(sample) for sample in samples] == [1, 2, 4, 8, 16, 32, 64]
    assert all(smaller < larger for smaller, larger in pairwise(samples))
    merged = DATA.model_copy(update={"merged": {seed: "/merged"}})
    assert [len(merged.train_paths(fraction, seed)) for fraction in FRACTIONS] == [1, 2, 3, 4, 5, 6, 7]
    assert len(merged.train_paths(1, seed + 1)) == SLICES


@given(seed=st.integers(0, 2**32), groups=st.integers(1, 500))
def test_a_fraction_of_groups_is_nested_and_never_empty(seed: int, groups: int) -> None:
    grouping = Grouping(
        name="g", column="group_g", keys="g.parquet", groups=groups, min_rows=1, trainable=groups, rows=(1, 1, 1)
    )
    samples = [set(grouping.sample(fraction, seed)) for fraction in FRACTIONS]
    assert [len(sample) for sample in samples] == [max(1, round(groups * fraction)) for fraction in FRACTIONS]
    assert all(smaller <= larger for smaller, larger in pairwise(samples))
    assert samples[-1] == set(range(groups))


def test_an_unknown_grouping_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        DATA.grouping("plane")


@given(
    parts=st.lists(st.lists(st.floats(-100, 100), max_size=20), min_size=1, max_size=10),
    centre=st.sampled_from([0.0, 1e6, -1e9]),
)
def test_label_moments_of_parts_are_those_of_all_rows(parts: list[list[float]], centre: float) -> None:
    """Labels far from 0, such as years or prices in cents, keep their digits."""
    arrays = [np.array(part) + centre for part in parts]
    every = np.concatenate(arrays)
    total = Moments.total(
        Moments(rows=len(a), mean=float(a.mean()), squares=float(((a - a.mean()) ** 2).sum()))
        if len(a)
        else Moments(rows=0, mean=0.0, squares=0.0)
        for a in arrays
    )
    assert total.rows == len(every)
    if len(every):
        assert total.mean == pytest.approx(every.mean(), rel=1e-12, abs=1e-9)
        assert total.std == pytest.approx(every.std(), rel=1e-6, abs=1e-12 * abs(centre) + 1e-9)


def test_a_manifest_without_label_moments_says_so() -> None:
    assert DATA.label_moments(1, 0) is None
