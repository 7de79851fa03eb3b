"""Defines `Invocation`: a run as it is stored. Each record refers to its run."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sparkscale.contract.goal import Goal
from sparkscale.contract.seeds import Seeds
from sparkscale.contract.threshold import Threshold

Command = Literal["run", "bench", "asv", "heap", "decide", "import"]
"""`import` makes a run from measurements that others published: see `sparkscale.store.published`."""


class Invocation(BaseModel):
    """One run of `sparkscale run`, `bench`, `heap` or `decide`, of one class of benchmarks in asv, or of `import`.

    A run of `import` holds measurements of others. A run that was resumed is still one run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    suite: str
    """The name of the suite, or the path that the user gave. For measurements of others, the name of their file."""
    started_at: AwareDatetime
    """The start of the run. For measurements of others, the time of the import."""
    seed: int
    rounds: int
    filter: str | None
    clusters: tuple[str, ...] | None = None
    """The profiles that were used instead of the suite's profiles. None if the suite's profiles were used."""
    data: dict[str, Any] | None = None
    """The data set that was measured instead of the suite's data sets. None if these were measured."""
    command: Command = "run"
    environment: tuple[str, ...] = ()
    """Releases of packages that were measured instead of the installed ones, such as "xgboost==3.1.1"."""
    seeds: Seeds | None = None
    """The seeds of samples and models.

    None in runs of earlier releases, which used `seed` for samples and models in every round.
    """
    origin: dict[str, str] = {}
    """The ids of the descriptions of the suite, profiles and budgets, by the names that messages use for them."""
    goals: tuple[Goal, ...] = ()
    """The goals of the suite."""
    gate: tuple[Threshold, ...] = ()
    """The thresholds of the suite, for comparisons with other runs."""
    imported: bool = False
    """If true, the run comes from an archive or from a CSV file of measurements by others.

    It is shown, but never resumed, and its target is not used.
    """
    cold_cache: bool = False
    """If true, the page cache of the data's files was emptied before each execution."""
    questions: tuple[str, ...] = ()
    """The questions that a run of `decide` answers, such as "engine". Other runs have none."""
    confidence: float | None = None
    """The confidence of the answers of a run of `decide`. None for other runs."""
    executions: int
    """The number of records of the complete run, without warm-ups.

    It is 0 for a heap search and for `decide`, because this number is not known before they end.
    """

    @property
    def drawn(self) -> Seeds:
        """The seeds of samples and models, also for runs of earlier releases."""
        return self.seeds or Seeds(sample=self.seed, model=self.seed, fixed=True)
