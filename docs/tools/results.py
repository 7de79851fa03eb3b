"""Writes the measured tables and figures of the README and of docs/results from the records in docs/results/records.

Marks in a page show which parts are generated:

    <!-- measured FILE provenance -->                      host, commit, date and command of the run
    <!-- measured FILE report -->                          the whole report
    <!-- measured FILE section SUBJECT -->                 one part of it
    <!-- measured FILE answers SUBJECT [QUESTION] -->      the answers for a subject or job, to the question that
                                                           begins with QUESTION
    <!-- measured FILE table SUBJECT TITLE [columns=A,B] [COLUMN=VALUE|VALUE] -->
    <!-- measured FILE figure SUBJECT -->                  time to model against rows, as an SVG image
    <!-- /measured -->                                     ends a generated part

FILE is the name of an archive without its ending. SUBJECT is the beginning of a heading, TITLE of a table's title,
BEGINNING of an answer, and A, B and COLUMN of a column's heading. Without arguments the script rewrites all pages.
With --check it changes nothing, names the pages that differ, and exits with 1 if there are any.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path

from sparkscale.analysis import circumstances
from sparkscale.analysis.blocks import Answer, Block, Grid, Heading, Text
from sparkscale.analysis.patterns import PATTERNS
from sparkscale.analysis.patterns.data_parallel.report import TradeoffReport
from sparkscale.analysis.report import distinct_subjects, report
from sparkscale.contract.phrases import count
from sparkscale.contract.record import RunRecord
from sparkscale.present import cells, charts, markdown
from sparkscale.store import archive
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
MARKED = re.compile(r"<!-- measured (?P<wanted>.+?) -->\n.*?<!-- /measured -->", re.DOTALL)


class MarkError(Exception):
    """A mark asks for something that the records do not have."""


@dataclass(frozen=True)
class Run:
    """One archived run and its report."""

    name: str
    store: Store
    invocation: Invocation

    @cached_property
    def records(self) -> list[RunRecord]:
        return self.store.records(self.invocation.id)

    @cached_property
    def blocks(self) -> list[Block]:
        return report(self.store, self.invocation)

    def provenance(self) -> str:
        """Returns a line that says how and where the run was measured, so that a reader can repeat it."""
        measured = [record for record in self.records if not record.is_warmup]
        first = measured[0]
        host = self.store.description(first.host).content
        software = self.store.description(first.software).content
        ok = sum(record.outcome == "ok" for record in measured)
        outcome = "all of them ok" if ok == len(measured) else f"{ok} of them ok"
        where = f"{host['cpu']}, {circumstances.cores(host)}, {host['memory_bytes'] / 2**30:.0f} GiB"
        spark = f", Spark {software['pyspark']}" if "pyspark" in software else ""
        changed = " with uncommitted changes" if first.code.dirty else ""
        commit = (first.code.commit or "unknown")[:7]
        return (
            f"*Measured by `{self.command}` on {where}{spark}; commit {commit}{changed}, "
            f"{self.invocation.started_at:%Y-%m-%d}, run {self.invocation.id}: "
            f"{count(len(measured), 'execution')}, {outcome}.*"
        )

    @property
    def command(self) -> str:
        """The command that measures this run again."""
        run = self.invocation
        parts = ["sparkscale", run.command, "--suite", run.suite]
        parts += ["--cluster", ",".join(run.clusters)] if run.clusters else []
        parts += ["--filter", shlex.quote(run.filter)] if run.filter else []
        parts += ["--rounds", str(run.rounds)] if run.rounds != self.suite_rounds else []
        seeds = run.drawn
        parts += ["--sample-seed", str(seeds.sample)] if seeds.sample else []
        parts += ["--model-seed", str(seeds.model)] if seeds.model else []
        parts += ["--fixed-seeds"] if seeds.fixed else []
        parts += ["--cold-cache"] if run.cold_cache else []
        if run.data or run.environment:
            raise MarkError(f"{self.name} was measured on data or releases that no option here names")
        return " ".join(parts)

    @property
    def suite_rounds(self) -> int | None:
        """The number of rounds in the suite's stored description. None if it is not known."""
        identity = self.invocation.origin.get("suite")
        return self.store.description(identity).content.get("rounds") if identity else None

    def section(self, subject: str) -> list[Block]:
        """Returns the blocks below the first heading that begins with `subject`, up to the next heading."""
        blocks = iter(self.blocks)
        if not any(isinstance(block, Heading) and block.text.startswith(subject) for block in blocks):
            raise MarkError(f"{self.name} has no part '{subject}'")
        return list(takewhile(lambda block: not isinstance(block, Heading), blocks))

    def answers(self, subject: str, question: str = "") -> list[Block]:
        """Returns the answers of a comparison, or those for a job to questions that begin with `question`."""
        found: list[Block] = []
        is_here = False
        for block in self.section("Answers"):
            if isinstance(block, Text) and not block.is_note:
                is_here = block.text.startswith(subject)
            elif isinstance(block, Answer) and block.question:
                found += [block] if block.subject.startswith(subject) and block.question.startswith(question) else []
            elif is_here and isinstance(block, Answer):
                found.append(block)
        if not found:
            raise MarkError(f"{self.name} has no answer on '{subject}'")
        return found

    def table(self, subject: str, title: str, options: dict[str, list[str]]) -> Grid:
        """Returns a table of the report with the selected columns and rows.

        `options` maps "columns" to the headings to keep, and other headings to the values of the rows to keep.
        """
        grids = (
            block for block in self.section(subject) if isinstance(block, Grid) and block.title.startswith(title)
        )
        found = next(grids, None)
        if found is None:
            raise MarkError(f"{self.name} has no table '{title}' in '{subject}'")
        wanted = options.pop("columns", None)
        for heading, values in options.items():
            at = self._column(found, heading)
            rows = tuple(row for row in found.rows if cells.text(row[at], found.columns[at]) in values)
            found = replace(found, rows=rows)
        if wanted is not None:
            at_all = [self._column(found, heading) for heading in wanted]
            rows = tuple(tuple(row[at] for at in at_all) for row in found.rows)
            found = replace(found, columns=tuple(found.columns[at] for at in at_all), rows=rows)
        return found

    def figure(self, subject: str, page: Path) -> str:
        """Draws a chart into a file of docs/results/figures. Returns the Markdown that shows it on the page."""
        compared = [one for pattern in PATTERNS.values() for one in pattern.reports(self.store, self.records)]
        for one, name in zip(compared, distinct_subjects(compared), strict=True):
            if name.startswith(subject) and isinstance(one, TradeoffReport):
                chart = next(one.charts())
                workload = subject.rpartition(".")[2].replace("_", "-")
                file = RESULTS / "figures" / f"{self.name}-{workload}.svg"
                WRITTEN[file] = charts.svg(chart)
                return f"![{chart.title}]({Path(os.path.relpath(file, page.parent)).as_posix()})"
        raise MarkError(f"{self.name} has no figure of '{subject}'")

    def _column(self, grid: Grid, heading: str) -> int:
        for number, column in enumerate(grid.columns):
            if " ".join(column.heading.split()).startswith(heading):
                return number
        raise MarkError(f"{self.name} has no column '{heading}' in '{grid.title}'")


WRITTEN: dict[Path, str] = {}
"""Maps each generated file to its content."""


def lowered(found: Sequence[Block]) -> Iterator[Block]:
    """Yields the blocks of a report without its title, and with all other headings one level lower."""
    for block in found:
        if not isinstance(block, Heading):
            yield block
        elif block.level > 1:
            yield replace(block, level=block.level + 1)


def replacement(run: Run, kind: str, arguments: Sequence[str], page: Path) -> str:
    """Returns the Markdown that a mark stands for."""
    names = [one for one in arguments if "=" not in one]
    options = {one.partition("=")[0]: re.split(r"[,|]", one.partition("=")[2]) for one in arguments if "=" in one}
    match kind, names:
        case "provenance", []:
            return run.provenance()
        case "report", []:
            return markdown.written(lowered(run.blocks))
        case "section", [subject]:
            return markdown.written(run.section(subject))
        case "answers", [subject, *question]:
            return markdown.written(run.answers(subject, *question))
        case "table", [subject, title]:
            return markdown.written([run.table(subject, title, options)])
        case "figure", [subject]:
            return run.figure(subject, page)
    raise MarkError(f"'{kind}' with {count(len(names), 'name')} is no mark")


def generate(pages: Sequence[Path]) -> None:
    """Fills WRITTEN with the pages and their SVG images."""
    with ExitStack() as stack:
        runs: dict[str, Run] = {}

        def run(name: str) -> Run:
            if name not in runs:
                store = stack.enter_context(archive.unpacked(RESULTS / "records" / f"{name}.parquet"))
                runs[name] = Run(name, store, store.invocation(identity=store.runs()[-1]))
            return runs[name]

        def filled(page: Path, match: re.Match[str]) -> str:
            name, kind, *arguments = shlex.split(match["wanted"])
            text = replacement(run(name), kind, arguments, page).strip()
            return f"<!-- measured {match['wanted']} -->\n{text}\n<!-- /measured -->"

        for page in pages:
            try:
                WRITTEN[page] = MARKED.sub(partial(filled, page), page.read_text())
            except MarkError as error:
                sys.exit(f"{page.relative_to(ROOT)}: {error}.")


def main(arguments: Sequence[str]) -> int:
    if arguments not in ([], ["--check"]):
        sys.exit(__doc__)
    generate(
        [
            ROOT / "README.md",
            ROOT / "docs" / "index.md",
            ROOT / "docs" / "getting-started.md",
            *sorted(RESULTS.glob("*.md")),
        ]
    )
    differing = [path for path, text in WRITTEN.items() if not path.exists() or path.read_text() != text]
    for path in differing:
        if arguments:
            print(f"{path.relative_to(ROOT)} differs from its records: run `make results`.")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(WRITTEN[path])
            print(f"wrote {path.relative_to(ROOT)}")
    return 1 if arguments and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
