"""Adds up the seconds of wall time that a run spends on each activity, such as preparation or phases."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Activity = Literal["phases", "preparing", "starting"]


@dataclass
class Ledger:
    """The wall time of a run by activity, in seconds."""

    started: float = field(default_factory=time.monotonic)
    spent: dict[Activity, float] = field(default_factory=lambda: {"phases": 0.0, "preparing": 0.0, "starting": 0.0})

    @contextmanager
    def time(self, activity: Activity) -> Iterator[None]:
        """Adds the duration of this context to the seconds of an activity."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.spent[activity] += time.monotonic() - started

    def wall(self) -> float:
        """Returns the seconds since the ledger was made."""
        return time.monotonic() - self.started
