"""Makes the tables that `sparkscale evidence decide` prints."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Text, name
from sparkscale.analysis.questions.decide.grid import QUESTIONS
from sparkscale.evidence.decide import MOST_SHARE, MOST_WRONG, Summary


def decide(worlds: Sequence[Summary], grids: Sequence[Summary]) -> list[Block]:
    """Returns a table of synthetic worlds, a table of recorded grids, and a note on how to read them.

    The last summary of each table is that of all. A table without summaries is left out.
    """
    return list(_blocks(worlds, grids))


def _blocks(worlds: Sequence[Summary], grids: Sequence[Summary]) -> Iterator[Block]:
    if worlds:
        yield _table("Synthetic worlds, in which the truth is known", "kind", worlds, has_guess=False)
    if grids:
        yield _table("Recorded grids, compared with the full grid's answers", "grid", grids, has_guess=True)
    text = (
        "An answer is wrong if it is resolved and the opposite of the truth. Replays with a wrong answer may be "
        f"{MOST_WRONG:.0%} of all. The limit beside them has a confidence of 95 %. The goal for the time is "
        f"{MOST_SHARE:.0%} of the full grid's."
    )
    if grids:
        text += (
            " A full grid of few rounds resolves little. So the last column counts replays with an answer that "
            "differs from the full grid's best estimate."
        )
    yield Text(text, is_note=True)


def _table(title: str, heading: str, summaries: Sequence[Summary], has_guess: bool) -> Grid:
    asked = [question for question in QUESTIONS if any(one.resolved[question] is not None for one in summaries)]
    columns = (
        name(heading),
        Column("replays", ","),
        *(Column(f"{question}:\nresolved\n/ wrong") for question in asked),
        Column("any\nwrong", ".1%"),
        Column("at\nmost", ".1%"),
        Column("time:\nmean", ".0%"),
        Column("time:\n90th", ".0%", priority=1),
        *([Column("other than\nbest guess", ".1%")] if has_guess else []),
    )
    return Grid(title, columns, tuple(tuple(_row(one, asked, has_guess)) for one in summaries))


def _row(summary: Summary, asked: Sequence[str], has_guess: bool) -> Iterator[Cell]:
    yield summary.name
    yield summary.replays
    for question in asked:
        resolved = summary.resolved[question]
        yield None if resolved is None else f"{resolved:.0%} / {summary.wrong[question]}"
    yield summary.any_wrong / summary.replays
    yield summary.wrong_at_most
    yield summary.mean_share
    yield float(np.quantile(summary.shares, 0.9))
    if has_guess:
        yield summary.guessed_wrong / summary.replays
