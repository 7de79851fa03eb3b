"""An invocation: the run that records refer to."""

from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from sparkscale.contract.goal import Goal
from sparkscale.contract.seeds import Seeds

Command = Literal["run", "bench", "asv", "heap"]


class Invocation(BaseModel):
    """One run, resumed or not, of `sparkscale run`, `bench` or `heap`, or of a class in `asv run`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    suite: str
    """The suite's name, or the given path."""
    started_at: AwareDatetime
    seed: int
    rounds: int
    filter: str | None
    clusters: tuple[str, ...] | None = None
    """Profiles that were used instead of the suite's. None: the suite's."""
    data: dict[str, Any] | None = None
    """The data set that was measured instead of the suite's. None: the suite's."""
    command: Command = "run"
    environment: tuple[str, ...] = ()
    """Releases of packages that were measured instead of the installed ones, such as "xgboost==3.1.1"."""
    seeds: Seeds | None = None
    """The seeds of samples and models.

    None in runs of earlier releases: they used the one seed `seed` in every round.
    """
    origin: dict[str, str] = {}
    """Ids of the descriptions of its suite, profiles and budgets, by their names in messages."""
    goals: tuple[Goal, ...] = ()
    """The goals of its suite."""
    imported: bool = False
    """If true, the run comes from an archive. It is shown, but never resumed, and no search takes its target."""
    cold_cache: bool = False
    """If true, the page cache of the data's files was emptied before each execution."""
    executions: int
    """The number of records of the complete run, without warm-ups.

    It is 0 for a heap search, because its number of records is not known before.
    """

    @property
    def drawn(self) -> Seeds:
        """The seeds of samples and models, also for runs of earlier releases."""
        return self.seeds or Seeds(sample=self.seed, model=self.seed, fixed=True)
