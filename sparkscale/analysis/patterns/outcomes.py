"""Outcomes of the parts of a case, such as groups or trials, from the table with a row for each."""

import pyarrow as pa
import pyarrow.compute as pc


def unsuccessful(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each `outcome` but "ok", outcomes in alphabetical order."""
    outcomes = sorted(pc.unique(table.column("outcome")).to_pylist())
    return [(found, table.filter(pc.equal(table.column("outcome"), found))) for found in outcomes if found != "ok"]
