"""Parts of sentences that a user reads."""

import math
from collections.abc import Sequence


def count(number: int | str, noun: str) -> str:
    """Returns a number with its noun: '1 core', '2 cores', 'all cores'."""
    return f"{number} {noun}{'' if str(number) == '1' else 's'}"


def with_threads(engine: str, threads: int | None) -> str:
    """Returns the name of an engine with the number of its threads: "xgboost, 1 thread".

    If `threads` is None, returns the name unchanged.
    """
    return engine if threads is None else f"{engine}, {count(threads, 'thread')}"


def number(value: float, digits: int = 3) -> str:
    """Returns a number with this many significant digits and without an exponent: "0.0123", "1,240", "42"."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def bit_rate(bits_per_second: float) -> str:
    """Returns the rate of a network link in words: "100 Mbit/s", "0.957 Gbit/s"."""
    if bits_per_second >= 5e8:
        return f"{number(bits_per_second / 1e9)} Gbit/s"
    return f"{number(bits_per_second / 1e6)} Mbit/s"


def certainty(confidence: float) -> str:
    """Returns a confidence in percent. It is never printed as 0 % or 100 %."""
    if confidence > 0.995:
        return "over 99 %"
    return "under 1 %" if confidence < 0.005 else f"{100 * confidence:.0f} %"


MOST_OF_AN_ERROR = 300
"""The largest number of characters of an error that a message shows."""


def brief(error: BaseException) -> str:
    """Returns an error's type and message without XGBoost's stack trace. A long text is cut."""
    message = str(error).split("Stack trace:", 1)[0].strip()
    return f"{type(error).__name__}: {message}"[:MOST_OF_AN_ERROR]


def named(names: Sequence[str], most: int = 10, between: str = ", ") -> str:
    """Returns the first `most` names as one text, and the number of all further names: "a, b and 3 more"."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{between.join(names[:most])}{more}"
