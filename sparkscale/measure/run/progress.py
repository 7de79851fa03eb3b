"""Shows the progress of a run on stderr: a live bar on a terminal, plain lines elsewhere."""

import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sparkscale.contract.case import Case
from sparkscale.contract.record import RunRecord
from sparkscale.output import console

COUNT_BEFORE_ESTIMATE = 10
MOST_OVERHEAD = 1.5
"""The largest overhead that the estimate uses: wall time divided by the time of all executions.

A run has more warm-ups and starts of workers at its beginning than later.
"""

Piece = tuple[Case, bool]
"""The case of an execution, and true if the execution is isolated. An isolated execution takes longer."""


class Observer(Protocol):
    """Receives the events of a run from the runner."""

    def planned(self, pieces: list[Piece]) -> None:
        """Called before the executions begin. `pieces` has one entry for each execution, in any order."""

    def doing(self, text: str) -> None:
        """Called when something other than a case begins, such as the preparation of data."""

    def note(self, text: str) -> None:
        """Called with a message for the user that should stay visible."""

    def executing(self, case: Case, label: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class Estimate:
    """Estimates the remaining time from the times of finished executions of the same or similar cases."""

    remaining: list[Piece] = field(default_factory=list)
    _took: dict[tuple[object, ...], list[float]] = field(default_factory=lambda: defaultdict(list))
    _measured: float = 0.0
    _count: int = 0
    _started: float = field(default_factory=time.monotonic)

    def took(self, piece: Piece, seconds: float) -> None:
        """Adds the time of a finished execution, and removes the execution from `remaining`."""
        for key in _similar_keys(piece):
            self._took[key].append(seconds)
        self._measured += seconds
        self._count += 1
        self.remaining.remove(piece)

    def seconds(self) -> float | None:
        """Returns the remaining seconds, with the overhead between cases; None if too few executions ended."""
        if self._count < COUNT_BEFORE_ESTIMATE or not self._measured:
            return None
        expected = sum(median(self._nearest(piece)) for piece in self.remaining)
        overhead = (time.monotonic() - self._started) / self._measured
        return expected * min(max(1.0, overhead), MOST_OVERHEAD)

    def _nearest(self, piece: Piece) -> list[float]:
        return next(self._took[key] for key in _similar_keys(piece) if key in self._took)

    def text(self) -> str:
        """Returns the estimate as text, such as "(about 3 min left)"; empty if there is no estimate yet."""
        seconds = self.seconds()
        if seconds is None:
            return ""
        return f"(about {seconds / 60:.0f} min left)" if seconds >= 90 else f"(about {seconds:.0f} s left)"


def _similar_keys(piece: Piece) -> list[tuple[object, ...]]:
    """Returns four keys of an execution. Two executions are similar if they have an equal key.

    The first key is equal for executions of the same case, the second for the same engine with as many
    threads, and the third for the same placement. The last key is equal for all executions.
    """
    case, isolated = piece
    engine = (case.workload, case.engine, case.threads, isolated)
    return [(case.id, isolated), engine, (case.placement, isolated), ()]


def outcome_text(record: RunRecord) -> str:
    """Returns one line: the outcome, and the seconds if the outcome is ok, otherwise the reason."""
    if record.outcome == "ok":
        return f"ok {sum(record.seconds.values()):.2f} s"
    reason = record.error.message.splitlines()[0] if record.error and record.error.message else ""
    return f"{record.outcome}: {reason}"


class PlainLines:
    """Prints a line for each execution."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._estimate = Estimate()
        self._total = 0
        self._label = ""

    def planned(self, pieces: list[Piece]) -> None:
        self._estimate.remaining = list(pieces)
        self._total = len(pieces)
        self._print(f"{self._total} executions to measure")

    def doing(self, text: str) -> None:
        self._print(text)

    def note(self, text: str) -> None:
        self._print(text)

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self._label = label

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None:
        _account(self._estimate, record, took_seconds)
        done = self._total - len(self._estimate.remaining)
        self._print(f"[{done}/{self._total}] {self._label}: {outcome_text(record)} {self._estimate.text()}")

    def close(self) -> None: ...

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class LiveBar:
    """Shows one bar: the current execution, the number of finished executions, the estimated remaining time.

    Outcomes other than ok stay visible as lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._estimate = Estimate()
        self._label = ""
        self._bar = Progress(
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}", markup=False),
            console=console,
        )
        self._task = self._bar.add_task("", total=None, left="")
        self._bar.start()

    def planned(self, pieces: list[Piece]) -> None:
        self._estimate.remaining = list(pieces)
        self._bar.update(self._task, total=len(pieces))

    def doing(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def note(self, text: str) -> None:
        self._console.print(text)

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self._label = label
        self._bar.update(self._task, description=label)

    def phase(self, name: str) -> None:
        self._bar.update(self._task, description=f"{self._label}: {name}")

    def finished(self, record: RunRecord, took_seconds: float) -> None:
        counted = _account(self._estimate, record, took_seconds)
        self._bar.update(self._task, advance=1 if counted else 0, left=self._estimate.text())
        if record.outcome != "ok":
            self._console.print(f"{self._label}: {outcome_text(record)}")

    def close(self) -> None:
        self._bar.stop()


def _account(estimate: Estimate, record: RunRecord, took_seconds: float) -> bool:
    """Adds a finished execution to the estimate. Returns true if the execution was counted.

    Warm-ups are not counted.
    """
    if record.is_warmup:
        return False
    estimate.took((record.case, record.isolated), took_seconds)
    return True


def observer() -> Observer:
    """Returns a live bar if stderr is a terminal, else plain lines."""
    errors = console(stderr=True)
    return LiveBar(errors) if errors.is_terminal else PlainLines(errors)
