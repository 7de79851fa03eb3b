"""Reads the links between emulated hosts from the descriptions of sessions."""

from dataclasses import dataclass

from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Link:
    """The link of each emulated host: its requested rate and delay, and its measured rate.

    Rates are in bits per second. `measured` is the mean of both directions.
    """

    requested: float
    measured: float
    delay_seconds: float


def link_of(store: Store, record: RunRecord) -> Link | None:
    """Returns the links of the emulated hosts that a record was measured on.

    None if its hosts are real, or if it has no Spark session.
    """
    content = store.content(record.session) if record.session else None
    link = (content or {}).get("link")
    if link is None:
        return None
    return Link(link["bits_per_second"], sum(link["measured"]) / len(link["measured"]), link["delay_seconds"])
