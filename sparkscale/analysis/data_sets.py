"""Describes each data set of a run: its hold-out, the columns that are not used, and possible faults."""

from collections.abc import Iterator, Sequence

from sparkscale.analysis.blocks import Block, Text, Warning
from sparkscale.contract.profile import not_used
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


def data_sets(store: Store, records: Sequence[RunRecord]) -> Iterator[Block]:
    """Yields texts and warnings about each data set, in the order of the records.

    Records without a description of their data set are skipped: those of earlier releases, and measurements of
    others.
    """
    for identity in dict.fromkeys(record.data for record in records if record.data):
        description = store.description(identity).content
        yield Text(
            f"{description['name']}: {sum(description['slice_rows']):,} training rows, "
            f"{description['holdout_rows']:,} held out "
            f"({description['holdout']}, in units of a {description['unit_name']})",
            is_note=True,
        )
        profile = description["profile"]
        if left_out := not_used(profile.get("columns", [])):
            yield Text(left_out)
        yield from (Text(f"Note: {note}") for note in profile.get("notes", []))
        yield from (Warning(warning) for warning in profile.get("warnings", []))
