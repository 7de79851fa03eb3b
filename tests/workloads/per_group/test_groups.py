"""How groups are ordered, dealt to tasks and sampled."""

import os

import numpy as np
import pytest

from sparkscale.contract.dataset import PreparedDataset
from workloads.io.filesystem import RowGroup, resolve
from workloads.libraries.joblib_processes import no_thread_variables
from workloads.per_group import layout
from workloads.per_group.group_rows import group_order
from workloads.per_group.groups import even_spans, groups_of, row_bytes
from workloads.per_group.layout import shares
from workloads.per_group.training import GroupDeadline, deadline


@pytest.mark.parametrize("codes", [50, 2**30])
def test_one_key_orders_as_two_do(codes: int) -> None:
    """Also where codes are too large for the one key."""
    random = np.random.default_rng(0)
    code = random.integers(0, codes, 5000).astype(np.int32)
    row = random.permutation(10**12 - np.arange(5000))
    np.testing.assert_array_equal(group_order(code, row), np.lexsort((row, code)))


@pytest.mark.parametrize(
    ("costs", "count", "spans"),
    [
        ([1] * 8, 4, [(0, 2), (2, 4), (4, 6), (6, 8)]),
        ([1000, 1, 1, 1], 4, [(0, 1), (1, 4)]),
        ([1, 1, 1, 1000], 4, [(0, 3), (3, 4)]),
        ([5], 4, [(0, 1)]),
        ([1] * 3, 8, [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_spans_are_even_and_cover_every_group_once(
    costs: list[int], count: int, spans: list[tuple[int, int]]
) -> None:
    assert even_spans(np.array(costs), count) == spans


def test_samples_of_groups_are_nested_and_counted_by_rows(data: PreparedDataset) -> None:
    eighth, quarter, whole = (groups_of(data, "plane", fraction, 7) for fraction in (1 / 8, 1 / 4, 1))
    assert set(eighth.codes) < set(quarter.codes) < set(whole.codes)
    assert len(whole.codes) == whole.grouping.groups == len(whole.sizes.keys)
    assert whole.sizes.train.sum() == sum(data.slice_rows)
    assert whole.sizes.holdout.sum() == data.holdout_rows
    assert whole.is_everything
    assert not eighth.is_everything
    assert groups_of(data, "", 1, 0).grouping.name == "plane"
    with pytest.raises(KeyError):
        groups_of(data, "tail", 1, 0)


def test_groups_above_the_limit_are_refused(data: PreparedDataset) -> None:
    most = 200 * row_bytes(len(data.columns))
    found = groups_of(data, "plane", 1, 0, most)
    assert set(found.refused) == set(np.flatnonzero(found.sizes.rows > 200))
    assert set(found.trained) | set(found.refused) == set(found.codes)


def test_row_groups_are_shared_out_evenly_and_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many for each slot that no share is larger than SHARE_BYTES, whatever files they lie in."""
    system, _ = resolve("/")
    parts = [(RowGroup(system, "/file", number, 100), False) for number in range(16)]
    assert [len(share) for share in shares(parts, 3, 4)] == [5, 6, 5]
    monkeypatch.setattr(layout, "SHARE_BYTES", 100 * 4 * 3)
    many = shares(parts, 3, 4)
    assert [len(share) for share in many] == [3, 2, 3, 3, 2, 3]
    assert [part for share in many for part in share] == parts
    assert len(shares(parts[:1], 4, 4)) == 1


def _threads() -> str | None:
    return os.environ.get("OMP_NUM_THREADS")


def test_processes_of_joblib_have_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the process that starts them may use: else a third of the baseline's speed is lost."""
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with no_thread_variables():
        get_reusable_executor().shutdown()
        found = Parallel(n_jobs=2, backend="loky", inner_max_num_threads=1)(delayed(_threads)() for _ in range(2))
    assert found == ["1", "1"]
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_deadline_comes_through_a_handler_of_all_exceptions() -> None:
    swallowed: list[int] = []

    def careless() -> None:
        while len(swallowed) < 10**9:
            try:
                swallowed.append(sum(range(1000)))
            except Exception:
                continue

    with pytest.raises(GroupDeadline), deadline(0.2):
        careless()
    with deadline(30.0):
        pass
