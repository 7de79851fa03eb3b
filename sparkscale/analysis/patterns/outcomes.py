"""Finds the parts of a case, such as groups or trials, that did not succeed."""

import pyarrow as pa
import pyarrow.compute as pc


def unsuccessful(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """Returns the rows of each `outcome` except "ok", with the outcomes in alphabetical order."""
    outcomes = sorted(pc.unique(table.column("outcome")).to_pylist())
    return [
        (outcome, table.filter(pc.equal(table.column("outcome"), outcome))) for outcome in outcomes if outcome != "ok"
    ]
