"""Measures a part of a run in another package environment.

Call it as `PYTHON -m sparkscale.history.part JSON`; JSON is a Part.
"""

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.errors import SparkscaleError
from sparkscale.history.asv_benchmarks import case_matches
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.measure.plan import suite
from sparkscale.measure.run.progress import observer
from sparkscale.measure.run.run import Request, measure


class Part(BaseModel):
    """A part of a run: the cases that asv's `--bench` selects, in one round or in all. The run exists already.

    `only_round` is None for all rounds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    out: Path
    invocation: str
    rounds: int | None
    clusters: tuple[str, ...] | None
    retry_failed: bool
    bench: tuple[str, ...]
    only_round: int | None

    def measure(self) -> None:
        """Measures this part. Raises what `sparkscale.measure.run.run.measure` raises."""
        measured_suite = suite.load(self.suite)
        request = Request(
            self.suite,
            self.out,
            rounds=self.rounds,
            clusters=self.clusters,
            resume=True,
            retry_failed=self.retry_failed,
            invocation=self.invocation,
            only=lambda case: case_matches(case, measured_suite, self.bench),
            only_round=self.only_round,
        )
        measure(request, observer)


def main() -> None:
    try:
        with interruptible():
            Part.model_validate_json(sys.argv[1]).measure()
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except SparkscaleError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
