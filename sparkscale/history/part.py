"""Measures a part of a run in another environment: `PYTHON -m sparkscale.history.part JSON`, JSON being a Part."""

import sys
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sparkscale.contract.errors import SparkscaleError
from sparkscale.history.asv_benchmarks import chosen
from sparkscale.interrupt import EXIT_INTERRUPTED, interruptible
from sparkscale.measure.plan import suite
from sparkscale.measure.run.progress import observer
from sparkscale.measure.run.run import Request, measure


class Part(BaseModel):
    """Which part: of a run that has begun, the cases that asv's `--bench` would take, in one round or in all."""

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
        """Raises what `measure` of a run raises."""
        found = suite.load(self.suite)
        request = Request(
            self.suite,
            self.out,
            rounds=self.rounds,
            clusters=self.clusters,
            resume=True,
            retry_failed=self.retry_failed,
            invocation=self.invocation,
            only=lambda case: chosen(case, found, self.bench),
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
