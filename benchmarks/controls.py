"""Controls: two calls that are timed by asv, not by a worker.

Their times are compared with the times that workers measure for the same calls.
"""

from sparkscale.history.asv_benchmarks import TIMEOUT
from sparkscale.history.controls import SessionStart, SmallFit


class Fit:
    """A fit of XGBoost with ten trees, on a quarter of the flights."""

    timeout = TIMEOUT
    number = 1
    repeat = 8
    rounds = 1
    warmup_time = 2.0
    version = "1"
    param_names: tuple[str, ...] = ()

    def setup(self) -> None:
        """Loads the rows. With `number` 1, asv calls this before each fit."""
        self.prepared = SmallFit()

    def time_fit(self) -> None:
        self.prepared.fit()

    time_fit.pretty_name = "control: a small fit, timed by asv"  # type: ignore[attr-defined]


class Session:
    """The start of a Spark session in local mode."""

    timeout = TIMEOUT
    number = 1
    repeat = 3
    rounds = 1
    warmup_time = 0.0
    version = "1"
    param_names: tuple[str, ...] = ()

    def timeraw_session_start(self) -> tuple[str, str]:
        """Returns the statement to time and its set-up. asv runs them in a fresh Python each time."""
        return "prepared.start()", f"from {SessionStart.__module__} import SessionStart\nprepared = SessionStart()"

    timeraw_session_start.pretty_name = "control: the start of a Spark session, timed by asv"  # type: ignore[attr-defined]
