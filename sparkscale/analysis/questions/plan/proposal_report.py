"""Shows what to measure next: the runs, how long they take, and how much surer the plan becomes."""

import math
from collections.abc import Iterator

from sparkscale.analysis.blocks import Block, Cell, Column, Grid, Heading, Text, name
from sparkscale.analysis.questions.fitting import LEVEL
from sparkscale.analysis.questions.plan.options import Option, spans
from sparkscale.analysis.questions.plan.proposals import Measurable, Proposed
from sparkscale.analysis.statistics import Interval
from sparkscale.contract.case import show_fraction


def proposal_report(proposed: Proposed, command: str) -> Iterator[Block]:
    """Yields a table of the runs, a sentence on the gain, and the command that measures them."""
    yield Heading("What to measure next")
    if not proposed.runs:
        yield Text(
            f"No run that ends within {spans(proposed.within)} makes the time of {proposed.option.job.engine} much "
            "surer. Give more time with --within, or plan for more rows."
        )
    else:
        yield _grid(proposed)
        yield Text(_gain(proposed))
        yield Text(command, is_code=True)
    if proposed.left_out:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in proposed.left_out.most_common())
        yield Text(f"Not proposed: {reasons}.", is_note=True)


def _grid(proposed: Proposed) -> Grid:
    columns = (
        name("engine"),
        name("data"),
        Column("training\nrows", ",.0f"),
        name("where"),
        Column("cores", ",", priority=1),
        Column("runs", ","),
        name("each takes"),
    )
    rows: list[tuple[Cell, ...]] = []
    for run, expected, count in proposed.runs:
        low = expected.seconds**2 / expected.high
        takes = spans(expected.seconds, Interval(low, expected.high))
        where = "one node" if proposed.option.place.placement == "node" else run.cluster
        engine = proposed.option.job.engine
        rows.append((engine, data_words(proposed, run), run.rows, where, run.cores, count, takes))
    return Grid(f"Runs that narrow the answer most within {spans(proposed.within)}", columns, tuple(rows))


def data_words(proposed: Proposed, run: Measurable) -> str:
    """Returns the data set of a run in words, such as "1/4 of flights" or "classification --rows 800000"."""
    if run.larger > 1:
        return f"{proposed.definition['kind']} --rows {run.larger * int(proposed.definition['rows'])}"
    dataset = proposed.sample.case.dataset
    return dataset if run.fraction == 1 else f"{show_fraction(run.fraction)} of {dataset}"


def _gain(proposed: Proposed) -> str:
    """Returns sentences on how long the runs take, and what they should change."""
    proposal = proposed.proposal
    starts = spans(len(proposal.runs) * proposal.overhead)
    sentences = [
        f"The runs take about {spans(proposal.seconds)}, and at most {spans(proposal.high)}. Of this, {starts} are "
        "starts of workers, warm-ups and other phases. Making data is not included."
    ]
    for rows, before, after in zip(proposed.wanted, proposal.before, proposal.after, strict=True):
        what = f"the time of {proposed.option.job.engine} with {rows:,.0f} rows"
        if after is None:
            sentences.append(f"Even then, {what} would not be known.")
        elif before is None:
            sentences.append(f"Now {what} is not known. Then it should be known {_width(after)}.")
        else:
            sentences.append(
                f"Now {what} is known {_width(before)}, and then {_width(after)} ({LEVEL:.0%} interval)."
            )
    return " ".join(sentences)


def _width(half: float) -> str:
    """Returns a half width on a logarithmic scale as a factor."""
    return f"within a factor of {math.exp(half):.2f}"


def change(before: Option, after: Option) -> Text:
    """Returns a sentence on how the time of an option changed by what was measured."""
    words = [
        "not known" if each.time.seconds is None else spans(each.time.seconds, each.time.interval)
        for each in (before, after)
    ]
    return Text(f"Before these runs, {before.job.engine} with {before.rows:,.0f} rows: {words[0]}. Now: {words[1]}.")
