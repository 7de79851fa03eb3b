"""Words of sentences that a user reads."""


def count(number: int | str, noun: str) -> str:
    """'1 core', '2 cores', 'all cores'."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
