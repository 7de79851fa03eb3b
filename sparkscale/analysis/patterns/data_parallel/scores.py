"""Reads the qualities of a model and of the truth, from a record's stored scores or the sums that replace them."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.statistics import Array
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.dataset import LABEL, TRUTH, UNIT
from sparkscale.contract.record import SCORES, SUMS, RunRecord
from sparkscale.store.store import Store

Qualities = tuple[UnitQuality, UnitQuality | None]
"""The quality of the model, and that of the truth, or None if it is not known."""

OF_TRUTH = "truth_"
"""The beginning of the names of the truth's sums."""


def reading(store: Store, record: RunRecord, criterion: Criterion) -> Callable[[], Qualities]:
    """Reads the stored table. Returns a function that computes the qualities, which any thread may call.

    Raises KeyError if the record has neither scores nor sums.
    """
    try:
        scores = store.columns(record.id, SCORES, (UNIT, LABEL, "score", TRUTH))
    except KeyError:
        table = store.table(record.id, SUMS)
        return lambda: _of_sums(table, criterion)
    return lambda: _of_scores(scores, criterion)


def condensed(record: RunRecord, name: str, table: pa.Table) -> tuple[str, pa.Table] | None:
    """Returns the sums over the hold-out's units in place of the score of each row. Intervals need no more.

    None if a report needs no scores of this record.
    """
    criterion = criterion_of(record)
    if name != SCORES:
        return name, table
    if record.is_warmup or not criterion.judged.estimator:
        return None
    columns = (column for column in (UNIT, LABEL, "score", TRUTH) if column in table.column_names)
    model, truth = _of_scores({column: table.column(column).to_numpy() for column in columns}, criterion)
    sums = dict(model.sums) | ({OF_TRUTH + key: value for key, value in truth.sums.items()} if truth else {})
    return SUMS, pa.table({key: list(value) if value.ndim > 1 else value for key, value in sums.items()})


def _of_scores(scores: dict[str, Array], criterion: Criterion) -> Qualities:
    unit, label, truth = scores[UNIT], scores[LABEL], scores.get(TRUTH)
    of_truth = None if truth is None else criterion.of(unit, label, truth)
    return criterion.of(unit, label, scores["score"]), of_truth


def _of_sums(table: pa.Table, criterion: Criterion) -> Qualities:
    sums = {name: np.array(table.column(name).to_pylist()) for name in table.column_names}
    truth = {name.removeprefix(OF_TRUTH): value for name, value in sums.items() if name.startswith(OF_TRUTH)}
    model = {name: value for name, value in sums.items() if not name.startswith(OF_TRUTH)}
    of_sums = criterion.estimation.of_sums
    return of_sums(model), of_sums(truth) if truth else None
