"""Reads what is known about a user's table from its data set's description.

It finds the columns that are not used, and why.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkscale.contract.phrases import named

AN_IDENTIFIER = ": an identifier"
"""The end of the note on a column that identifies rows."""
NOT_ASKED = "not among the features asked for"
"""The beginning of the note on a column that the user did not request."""


def not_used(columns: Sequence[Mapping[str, Any]]) -> str:
    """Returns a sentence that names the columns that no engine gets, and says why. Empty if there are none.

    Columns that the user did not request are left out.
    """
    left_out = [
        column for column in columns if column["role"] == "not used" and not column["note"].startswith(NOT_ASKED)
    ]
    if not left_out:
        return ""
    reasons = [f"{column['name'] or 'one'} ({column['note']})" for column in left_out]
    text = f"Columns not used: {named(reasons)}."
    if any(AN_IDENTIFIER in column["note"] for column in left_out):
        text += " To use an identifier all the same, name the features in --features."
    return text
