"""The profile of a user's table, as its data set's description holds it: which columns are not used, and why."""

from collections.abc import Mapping, Sequence
from typing import Any

from sparkscale.contract.wording import named

AN_IDENTIFIER = ": an identifier"
"""What the note of a column ends with whose values tell rows apart."""
NOT_ASKED = "not among the features asked for"


def not_used(columns: Sequence[Mapping[str, Any]]) -> str:
    """Which columns of a profile no engine is given, and why, as a sentence or two; empty if there are none. Those
    that the user did not ask for are not told.
    """
    left_out = [one for one in columns if one["role"] == "not used" and not one["note"].startswith(NOT_ASKED)]
    if not left_out:
        return ""
    reasons = [f"{one['name'] or 'one'} ({one['note']})" for one in left_out]
    text = f"Columns not used: {named(reasons)}."
    if any(AN_IDENTIFIER in one["note"] for one in left_out):
        text += " To use an identifier all the same, name the features in --features."
    return text
