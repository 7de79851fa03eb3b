"""Finds the parts of a case, such as groups or trials, that did not succeed."""

import pyarrow as pa
import pyarrow.compute as pc


def unsuccessful(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """Returns a pair for each outcome except "ok": the outcome, and the rows of `table` that have it.

    The outcomes are in alphabetical order.
    """
    outcomes = sorted(pc.unique(table.column("outcome")).to_pylist())
    return [
        (outcome, table.filter(pc.equal(table.column("outcome"), outcome))) for outcome in outcomes if outcome != "ok"
    ]
