"""Shows, while `decide` measures, the present answer to each question, its doubt, and what is measured and why."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sparkscale.analysis.duration import amount
from sparkscale.analysis.questions.decide.grid import Piece, Standing, Step
from sparkscale.contract.case import Case, show_fraction
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.measure.run.progress import Observer, outcome_text
from sparkscale.measure.run.progress import Piece as Planned
from sparkscale.output import console

UNKNOWN = "not known yet"


class View(Observer, Protocol):
    """Receives the events of a run, and those of `decide`."""

    def step(self, step: Step) -> None:
        """Called before a step is measured."""

    def stand(self, standings: Sequence[Standing]) -> None:
        """Called with where each question stands, whenever this may have changed."""


def clock(seconds: float) -> str:
    """Returns a time such as "3:05" for 185 seconds, and "1:02:05" from one hour on."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def pieces_text(pieces: Sequence[Piece]) -> str:
    """Returns the engines, fractions and rounds of a step, such as "sklearn 1/64, xgboost 1/64 1/16, round 2"."""
    fractions: dict[str, list[str]] = defaultdict(list)
    clusters = {piece.cell.cluster for piece in pieces}
    for piece in sorted(pieces, key=lambda one: (one.cell.placement, one.cell.engine, one.cell.fraction)):
        cell = piece.cell
        name = cell.engine if len(clusters) == 1 else f"{cell.engine} on {cell.cluster}"
        fraction = show_fraction(cell.fraction)
        if fraction not in fractions[name]:
            fractions[name].append(fraction)
    rounds = sorted({piece.round for piece in pieces})
    numbers = f"round {rounds[0]}" if len(rounds) == 1 else f"rounds {', '.join(map(str, rounds))}"
    cells = [f"{name} {' '.join(every)}" for name, every in fractions.items()]
    return f"{', '.join(cells)}, {numbers}"


def answer_text(standing: Standing) -> str:
    """Returns the present answer of a question in a few words."""
    return standing.choice or UNKNOWN


def _question(standing: Standing, standings: Sequence[Standing]) -> str:
    """Returns the name of a question. It has its subject if the questions are about several."""
    is_one = len({other.subject for other in standings}) == 1
    return standing.question if is_one or not standing.subject else f"{standing.question}, {standing.subject}"


class StepLines:
    """Prints a line for each step, and one for each answer that changed."""

    def __init__(self, console: Console, ends_at: float) -> None:
        self._console = console
        self._ends_at = ends_at
        self._number = 0
        self._label = ""
        self._answers: dict[str, tuple[str, str]] = {}

    def planned(self, pieces: list[Planned]) -> None: ...

    def doing(self, text: str) -> None: ...

    def note(self, text: str) -> None:
        self._print(text)

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self._label = label

    def phase(self, name: str) -> None: ...

    def finished(self, record: RunRecord, took_seconds: float) -> None:  # noqa: ARG002
        if record.outcome not in ("ok", "unsupported"):
            self._print(f"{self._label}: {outcome_text(record)}")

    def step(self, step: Step) -> None:
        self._number += 1
        left = clock(self._ends_at - time.monotonic())
        self._print(
            f"step {self._number}, {left} left, about {amount(step.seconds)}: {pieces_text(step.pieces)} "
            f"({step.reason})"
        )

    def stand(self, standings: Sequence[Standing]) -> None:
        for standing in standings:
            name = _question(standing, standings)
            answer = standing.choice, standing.verdict
            if standing.choice and self._answers.get(name) != answer:
                self._answers[name] = answer
                doubt = standing.doubt and f", {standing.doubt}"
                resolved = "resolved" if standing.is_resolved else f"open{doubt}"
                self._print(f"  {name}: {answer_text(standing)} ({resolved})")

    def close(self) -> None: ...

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class LiveView:
    """Shows one line for each question, what is measured and why, and a bar for the time.

    The picture is drawn once a second, by this process only. Workers, which are timed, print nothing.
    """

    def __init__(self, console: Console, ends_at: float) -> None:
        self._console = console
        self._ends_at = ends_at
        self._began = time.monotonic()
        self._standings: Sequence[Standing] = ()
        self._step: Step | None = None
        self._doing = "starting"
        self._label = ""
        self._count = 0
        self._live = Live(
            console=console, get_renderable=self._picture, refresh_per_second=1, transient=True, redirect_stdout=False
        )
        self._live.start()

    def planned(self, pieces: list[Planned]) -> None: ...

    def doing(self, text: str) -> None:
        self._doing = text

    def note(self, text: str) -> None:
        self._console.print(text)

    def executing(self, case: Case, label: str) -> None:  # noqa: ARG002
        self._label = self._doing = label

    def phase(self, name: str) -> None:
        self._doing = f"{self._label}: {name}"

    def finished(self, record: RunRecord, took_seconds: float) -> None:  # noqa: ARG002
        self._count += 0 if record.is_warmup else 1
        if record.outcome not in ("ok", "unsupported"):
            self._console.print(f"{self._label}: {outcome_text(record)}")

    def step(self, step: Step) -> None:
        self._step = step

    def stand(self, standings: Sequence[Standing]) -> None:
        self._standings = standings
        self._live.refresh()

    def close(self) -> None:
        self._live.stop()

    def _picture(self) -> RenderableType:
        questions: list[RenderableType] = [self._table(), Text()] if self._standings else []
        return Group(*questions, *self._work(), self._time())

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for heading in ("question", "answer now", "doubt"):
            table.add_column(heading, overflow="fold")
        for standing in self._standings:
            answer = Text(answer_text(standing), style="bold green" if standing.is_resolved else "")
            doubt = Text(standing.doubt or ("none" if standing.is_resolved else ""), style="dim")
            table.add_row(Text(_question(standing, self._standings)), answer, doubt)
        return table

    def _work(self) -> list[Text]:
        if self._step is None:
            return [Text(self._doing)]
        return [
            Text(f"measuring {pieces_text(self._step.pieces)}, about {amount(self._step.seconds)}"),
            Text(f"because: {self._step.reason}", style="dim"),
            Text(f"now: {self._doing}", style="dim"),
        ]

    def _time(self) -> Table:
        """Returns a bar of the time that has passed, with the time that is left."""
        used, left = time.monotonic() - self._began, self._ends_at - time.monotonic()
        row = Table.grid(padding=(0, 1))
        words = f"{clock(used)} used, {clock(left)} left, {count(self._count, 'execution')}"
        row.add_row(ProgressBar(total=max(used + left, 1.0), completed=used, width=24), Text(words))
        return row


def view(ends_at: float) -> View:
    """Returns a live view if stderr is a terminal, else plain lines. `ends_at` is when the time is over."""
    errors = console(stderr=True)
    return LiveView(errors, ends_at) if errors.is_terminal else StepLines(errors, ends_at)
