"""Samples of slices and of groups."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkscale.contract.case import SLICES
from sparkscale.contract.dataset import Grouping, PreparedDataset

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
