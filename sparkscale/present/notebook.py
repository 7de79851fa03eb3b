"""Shows a report in a notebook: the same blocks as in a terminal and in a page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from sparkscale.analysis.blocks import Block
from sparkscale.analysis.report import report_of_runs
from sparkscale.present import markdown, page
from sparkscale.store.discreet import DiscreetStore
from sparkscale.store.store import Store

HEIGHT = 700
"""The height in pixels of a report in a notebook. The report is scrolled in it."""


@dataclass(frozen=True)
class Results:
    """The results of one or more runs as the blocks of a report. A notebook shows them as a page."""

    blocks: tuple[Block, ...] = field(repr=False)

    @classmethod
    def load(cls, folder: str | Path, runs: str | Sequence[str] = (), is_anonymous: bool = False) -> "Results":
        """Returns the results of a run or of several runs in a folder of records. Without ids, it is the last run.

        If `is_anonymous` is true, the names of hosts, the user, paths, and the user's tables, columns and groups are
        replaced. Raises ConfigError if the folder has no records or lacks a run.
        """
        with Store.existing(Path(folder)) as store:
            view = DiscreetStore(store, is_anonymous)
            identities = dict.fromkeys([runs] if isinstance(runs, str) else runs)
            invocations = [view.invocation(identity=run) for run in identities] or [view.invocation()]
            return cls(tuple(report_of_runs(view, invocations, has_charts=True)))

    def report(self, file: str | Path) -> Path:
        """Writes the results as a page and returns its path. Raises ConfigError if it cannot be written."""
        return page.write(self.blocks, Path(file))

    def _repr_html_(self) -> str:
        """Returns the page in a frame, so that its styles and scripts do not meet those of the notebook."""
        return (
            f'<iframe title="sparkscale report" style="width: 100%; height: {HEIGHT}px; border: 1px solid #d0d7de" '
            f'sandbox="allow-scripts allow-downloads" srcdoc="{escape(page.written(self.blocks))}"></iframe>'
        )

    def _repr_markdown_(self) -> str:
        """Returns the results as Markdown, for notebooks that show no frames. Charts are tables."""
        return markdown.written(self.blocks)
