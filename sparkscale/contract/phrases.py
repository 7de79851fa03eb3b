"""Words of sentences that a user reads."""

from collections.abc import Sequence


def count(number: int | str, noun: str) -> str:
    """'1 core', '2 cores', 'all cores'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


MOST_OF_AN_ERROR = 300


def brief(error: BaseException) -> str:
    """An error's type and message, without the stack trace that XGBoost puts into it, and not too long."""
    message = str(error).split("Stack trace:", 1)[0].strip()
    return f"{type(error).__name__}: {message}"[:MOST_OF_AN_ERROR]


def named(names: Sequence[str], most: int = 10, between: str = ", ") -> str:
    """The first of these names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"
