"""The profile of a user's table, as its data set's description holds it: which columns are not used, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkscale.contract.phrases import named

AN_IDENTIFIER = ": an identifier"
"""The end of the note of a column that identifies rows."""
NOT_ASKED = "not among the features asked for"


def not_used(columns: Sequence[Mapping[str, Any]]) -> str:
    """Names the columns of a profile that no engine gets, and why; empty if there are none. It leaves out columns
    that the user did not ask for.
    """
    left_out = [one for one in columns if one["role"] == "not used" and not one["note"].startswith(NOT_ASKED)]
    if not left_out:
        return ""
    reasons = [f"{one['name'] or 'one'} ({one['note']})" for one in left_out]
    text = f"Columns not used: {named(reasons)}."
    if any(AN_IDENTIFIER in one["note"] for one in left_out):
        text += " To use an identifier all the same, name the features in --features."
    return text
