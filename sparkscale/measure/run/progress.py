"""What a person sees while a run goes on: a live bar on a terminal, plain lines elsewhere; all on stderr."""

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
"""At first there are more warm-ups and starts than there will be on average."""

Piece = tuple[Case, bool]
"""An execution's case, and whether it is alone in its worker, which takes longer."""


class Observer(Protocol):
    """Told by the runner what happens."""

    def planned(self, pieces: list[Piece]) -> None:
        """What is still to be executed, in any order."""

    def doing(self, text: str) -> None:
        """Something else than a case: preparing data, starting a worker."""

    def note(self, text: str) -> None:
        """What the user should know, and keep in sight."""

    def executing(self, case: Case, label: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class Estimate:
    """How long the rest takes, from what the same or similar executions took so far."""

    remaining: list[Piece] = field(default_factory=list)
    _took: dict[tuple[object, ...], list[float]] = field(default_factory=lambda: defaultdict(list))
    _measured: float = 0.0
    _count: int = 0
    _started: float = field(default_factory=time.monotonic)

    def took(self, piece: Piece, seconds: float) -> None:
        for key in _likenesses(piece):
            self._took[key].append(seconds)
        self._measured += seconds
        self._count += 1
        self.remaining.remove(piece)

    def seconds(self) -> float | None:
        """None before enough is known. Scaled up by what goes on between cases."""
        if self._count < COUNT_BEFORE_ESTIMATE or not self._measured:
            return None
        known = sum(median(self._nearest(piece)) for piece in self.remaining)
        overhead = (time.monotonic() - self._started) / self._measured
        return known * min(max(1.0, overhead), MOST_OVERHEAD)

    def _nearest(self, piece: Piece) -> list[float]:
        return next(self._took[key] for key in _likenesses(piece) if key in self._took)

    def text(self) -> str:
        left = self.seconds()
        if left is None:
            return ""
        return f"(about {left / 60:.0f} min left)" if left >= 90 else f"(about {left:.0f} s left)"


def _likenesses(piece: Piece) -> list[tuple[object, ...]]:
    """What an execution can be judged by, nearest first: itself, its engine, its placement, any."""
    case, isolated = piece
    return [(case.id, isolated), (case.workload, case.engine, isolated), (case.placement, isolated), ()]


def outcome_text(record: RunRecord) -> str:
    """An outcome on one line: seconds of an ok case, the reason of another."""
    if record.outcome == "ok":
        return f"ok {sum(record.seconds.values()):.2f} s"
    reason = record.error.message.splitlines()[0] if record.error and record.error.message else ""
    return f"{record.outcome}: {reason}"


class PlainLines:
    """A line for each execution."""

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
    """One bar: what runs, how many are left, the time that is likely left. Outcomes other than ok stay as lines."""

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
    """Takes a finished execution out of what remains; False for a warm-up, which is not counted."""
    if record.is_warmup:
        return False
    estimate.took((record.case, record.isolated), took_seconds)
    return True


def observer() -> Observer:
    """The one that suits stderr."""
    errors = console(stderr=True)
    return LiveBar(errors) if errors.is_terminal else PlainLines(errors)
