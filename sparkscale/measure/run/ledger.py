"""Where a run's wall time goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Activity = Literal["phases", "preparing", "starting"]


@dataclass
class Ledger:
    """Where a run's wall time went, in seconds."""

    started: float = field(default_factory=time.monotonic)
    spent: dict[Activity, float] = field(default_factory=lambda: {"phases": 0.0, "preparing": 0.0, "starting": 0.0})

    @contextmanager
    def time(self, activity: Activity) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.spent[activity] += time.monotonic() - started

    def wall(self) -> float:
        return time.monotonic() - self.started
