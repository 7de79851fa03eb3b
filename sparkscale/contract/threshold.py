"""A threshold: the largest change of a metric that a comparison of two sides still counts as the same."""

from fnmatch import fnmatchcase

from pydantic import BaseModel, ConfigDict, Field


class Threshold(BaseModel):
    """The threshold of a metric, for some cases. A suite states it as [[gate]].

    `threshold` is a share: 0.1 means 10 %. For a quality it is the tolerance, in the unit that the workload declares.
    `workload` and `engine` may contain wildcards.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    threshold: float = Field(gt=0, le=10)
    workload: str = "*"
    engine: str = "*"

    def applies(self, metric: str, workload: str, engine: str) -> bool:
        """Returns true if this is a threshold for the metric of such a case."""
        return metric == self.metric and fnmatchcase(workload, self.workload) and fnmatchcase(engine, self.engine)
