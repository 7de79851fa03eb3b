"""Reads and shows numbers of rows as people write them: 1e6, 10_000_000, 100M."""

import re
from decimal import Decimal
from typing import Any

SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}


def parse_rows(value: Any) -> int:
    """Returns the number of rows that a text or a number states. Raises ValueError if it is not a whole number."""
    amount = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?(?:e\+?\d{1,2})?)\s*([kmgbt]?)", str(value).strip(), re.IGNORECASE)
    if amount is None or isinstance(value, bool):
        raise ValueError(f"'{value}' is no number of rows: write 1e6, 10_000_000 or 100M")
    rows = Decimal(amount[1].replace("_", "")) * SUFFIXES[amount[2].lower()]
    if rows != rows.to_integral_value():
        raise ValueError(f"'{value}' is no whole number of rows")
    return int(rows)


def show_rows(rows: int) -> str:
    """Returns a number of rows with the largest suffix that keeps it exact, such as "2M" for 2,000,000."""
    for suffix, unit in (("T", 10**12), ("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if rows % unit == 0:
            return f"{rows // unit}{suffix}"
    return str(rows)
