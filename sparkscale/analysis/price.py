"""Computes costs from seconds, with the price per hour that the profile of a cluster states."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sparkscale.analysis.blocks import Cell, Column
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.phrases import number
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

DIGITS = 3
"""The number of significant digits of an amount."""
PLAIN = 100.0
"""Amounts of at least this number are shown without decimals."""


@dataclass(frozen=True)
class Price:
    """The cost of one hour on all machines of a cluster together, in a currency of ISO 4217, and its source."""

    per_hour: float
    currency: str
    source: str
    date: datetime.date

    def of_seconds(self, seconds: float) -> float:
        """Returns the cost of this time. Infinite for an infinite time."""
        return seconds / 3600 * self.per_hour

    def of_spread(self, seconds: Spread) -> Spread:
        """Returns the spread of costs that belongs to this spread of times."""
        median, low, high = map(self.of_seconds, (seconds.median, seconds.low, seconds.high))
        return replace(seconds, median=median, low=low, high=high, limit=None)

    def words(self, amount: float) -> str:
        """Returns a finite amount with three significant digits and the currency, such as "0.0042 USD"."""
        digits = DIGITS if amount < PLAIN else len(str(round(amount)))
        return f"{number(amount, digits)} {self.currency}"

    def note(self, cluster: str) -> str:
        """Returns the note below a table with costs: the price, its source and its date."""
        return (
            f"Costs are times at {self.per_hour:,g} {self.currency} per hour, the price of all machines of {cluster} "
            f"together ({self.source}, {self.date}). An engine on one node pays for all of them, too."
        )


def prices(store: Store, invocation: Invocation) -> dict[str, Price]:
    """Returns the price of each cluster of a run, by the cluster's name.

    Clusters without a price are left out. Runs of earlier releases have no prices.
    """
    found = {}
    for part, identity in invocation.origin.items():
        content = store.content(identity) if part.startswith("profile ") else None
        stated = (content or {}).get("price")
        if content and stated:
            date = datetime.date.fromisoformat(stated["date"])
            found[content["name"]] = Price(stated["per_hour"], stated["currency"], stated["source"], date)
    return found


def price_of(store: Store, records: Sequence[RunRecord]) -> Price | None:
    """Returns the price of the cluster of these records. All records belong to one comparison.

    If the records come from several runs, it is the price in the latest run that has one. None if none has.
    """
    runs = (store.invocation(identity=run) for run in {record.invocation for record in records})
    cluster = records[0].case.cluster
    latest_first = sorted(runs, key=lambda run: run.started_at, reverse=True)
    return next((price for run in latest_first if (price := prices(store, run).get(cluster))), None)


def costs(
    price: Price | None, what: str, seconds: Sequence[Spread | None], priority: int = 0
) -> tuple[list[Column], list[list[Cell]]]:
    """Returns the column with the costs of `what`, such as "a model", and its cell in each row.

    `seconds` holds the times of each row. The caller adds the returned lists to the columns and cells of a table.
    Without a price, they are empty.
    """
    if price is None:
        return [], [[] for _ in seconds]
    column = Column(
        f"cost of {what},\n{price.currency}",
        f".{DIGITS}g",
        large=(PLAIN, ",.0f"),
        beyond="timeout",
        counts=True,
        priority=priority,
    )
    return [column], [[price.of_spread(times) if times else None] for times in seconds]
