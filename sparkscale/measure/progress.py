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


class Observer(Protocol):
    """Told by the runner what happens."""

    def planned(self, cases: list[Case]) -> None:
        """The cases still to be executed, each as often as it will be."""

    def doing(self, text: str) -> None:
        """Something else than a case: preparing data, starting a worker."""

    def executing(self, case: Case, label: str) -> None: ...

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class Estimate:
    """How long the rest takes, from what the same cases, engines or all cases took so far."""

    remaining: list[Case] = field(default_factory=list)
    _by_case: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _by_engine: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    _all: list[float] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    def took(self, case: Case, seconds: float) -> None:
        self._by_case[case.id].append(seconds)
        self._by_engine[case.workload, case.engine].append(seconds)
        self._all.append(seconds)

    def seconds(self) -> float | None:
        """None before anything is known. Scaled up by what goes on between cases."""
        if not self._all:
            return None
        known = sum(
            median(self._by_case.get(case.id) or self._by_engine.get((case.workload, case.engine)) or self._all)
            for case in self.remaining
        )
        overhead = (time.monotonic() - self._started) / max(sum(self._all), 1e-9)
        return known * max(1.0, overhead)

    def text(self) -> str:
        left = self.seconds()
        if left is None:
            return ""
        return f"(about {left / 60:.0f} min left)" if left >= 90 else f"(about {left:.0f} s left)"


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

    def planned(self, cases: list[Case]) -> None:
        self._estimate.remaining = list(cases)
        self._total = len(cases)
        self._print(f"{self._total} executions to measure")

    def doing(self, text: str) -> None:
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
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


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

    def planned(self, cases: list[Case]) -> None:
        self._estimate.remaining = list(cases)
        self._bar.update(self._task, total=len(cases))

    def doing(self, text: str) -> None:
        self._bar.update(self._task, description=text)

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self._label = label
        self._bar.update(self._task, description=label)

    def phase(self, name: str) -> None:
        self._bar.update(self._task, description=f"{self._label}: {name}")

    def finished(self, record: RunRecord, took_seconds: float) -> None:
        counted = _account(self._estimate, record, took_seconds)
        self._bar.update(self._task, advance=1 if counted else 0, left=self._estimate.text())
        if record.outcome != "ok":
            self._console.print(f"{self._label}: {outcome_text(record)}", markup=False, highlight=False)

    def close(self) -> None:
        self._bar.stop()


def _account(estimate: Estimate, record: RunRecord, took_seconds: float) -> bool:
    """Takes a finished execution out of what remains; False for a warm-up, which is not counted."""
    if record.is_warmup:
        return False
    estimate.took(record.case, took_seconds)
    estimate.remaining.remove(record.case)
    return True


def observer() -> Observer:
    """The one that suits stderr."""
    console = Console(stderr=True)
    return LiveBar(console) if console.is_terminal else PlainLines(console)
