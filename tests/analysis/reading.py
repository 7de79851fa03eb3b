"""What `sparkscale show` prints, as text."""

import io
from collections.abc import Iterable

from rich.console import Console

from sparkscale.analysis.blocks import Answer, Block
from sparkscale.analysis.report import report
from sparkscale.present.terminal import drawn
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store


def shown(store: Store, invocation: Invocation | None = None, width: int = 150) -> str:
    """The report of a run (the last one), for a terminal of this width."""
    return printed(report(store, invocation or store.invocation()), width)


def printed(blocks: Iterable[Block], width: int) -> str:
    """A report for a terminal of this width."""
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(drawn(blocks))
    return console.export_text()


def said(answer: Answer | None) -> str:
    """The sentence of an answer; empty without one."""
    return answer.text if answer else ""
