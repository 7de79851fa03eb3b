"""Writes a sentence that names the unused columns of a user's table, and says why they are not used."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkscale.contract.phrases import named

AN_IDENTIFIER = ": an identifier"
"""The end of the note on a column that identifies rows."""
NOT_ASKED = "not among the features asked for"
"""The beginning of the note on a column that the user did not request."""


def not_used(columns: Sequence[Mapping[str, Any]]) -> str:
    """Returns a sentence that names the columns that no engine gets, with the reasons. Empty if there are none.

    `columns` is the entry "columns" of `PreparedDataset.profile`. The sentence leaves out columns that the user
    did not request.
    """
    named_columns = [
        column for column in columns if column["role"] == "not used" and not column["note"].startswith(NOT_ASKED)
    ]
    if not named_columns:
        return ""
    reasons = [f"{column['name'] or 'one'} ({column['note']})" for column in named_columns]
    text = f"Columns not used: {named(reasons)}."
    if any(AN_IDENTIFIER in column["note"] for column in named_columns):
        text += " To use an identifier all the same, name the features in --features."
    return text
