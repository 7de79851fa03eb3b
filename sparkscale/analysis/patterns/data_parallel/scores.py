"""Computes the quality of a model, and the best possible quality (the ceiling), from a record's stored scores.

Archives store sums in place of scores. The result is the same.
"""

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
"""The quality of the model, and the ceiling. The ceiling is None if it is not known."""

CEILING_PREFIX = "truth_"
"""The prefix of the names under which the ceiling's sums are stored."""


def reading(store: Store, record: RunRecord, criterion: Criterion) -> Callable[[], Qualities]:
    """Reads the stored scores or sums. Returns a function that computes the qualities from them.

    Any thread may call the returned function. Raises KeyError if the record has neither scores nor sums.
    """
    try:
        scores = store.columns(record.id, SCORES, (UNIT, LABEL, "score", TRUTH))
    except KeyError:
        table = store.table(record.id, SUMS)
        return lambda: _of_sums(table, criterion)
    return lambda: _of_scores(scores, criterion)


def condensed(record: RunRecord, name: str, table: pa.Table) -> tuple[str, pa.Table] | None:
    """Replaces a table of scores by sums over units, which are enough for intervals. Other tables are unchanged.

    Returns None if no report uses this record's scores.
    """
    if name != SCORES:
        return name, table
    criterion = criterion_of(record)
    if record.is_warmup or not criterion.judged.estimator:
        return None
    columns = (column for column in (UNIT, LABEL, "score", TRUTH) if column in table.column_names)
    model, ceiling = _of_scores({column: table.column(column).to_numpy() for column in columns}, criterion)
    sums = dict(model.sums) | (
        {CEILING_PREFIX + key: value for key, value in ceiling.sums.items()} if ceiling else {}
    )
    return SUMS, pa.table({key: list(value) if value.ndim > 1 else value for key, value in sums.items()})


def _of_scores(scores: dict[str, Array], criterion: Criterion) -> Qualities:
    unit, label, true_values = scores[UNIT], scores[LABEL], scores.get(TRUTH)
    ceiling = None if true_values is None else criterion.of(unit, label, true_values)
    return criterion.of(unit, label, scores["score"]), ceiling


def _of_sums(table: pa.Table, criterion: Criterion) -> Qualities:
    sums = {name: np.array(table.column(name).to_pylist()) for name in table.column_names}
    ceiling = {
        name.removeprefix(CEILING_PREFIX): value for name, value in sums.items() if name.startswith(CEILING_PREFIX)
    }
    model = {name: value for name, value in sums.items() if not name.startswith(CEILING_PREFIX)}
    of_sums = criterion.estimation.of_sums
    return of_sums(model), of_sums(ceiling) if ceiling else None
