"""Says of each data set of a run how it was held out, which columns are not used, and what may be wrong with it."""

from collections.abc import Iterator, Sequence

from sparkscale.analysis.blocks import Block, Text, Warning
from sparkscale.contract.profile import not_used
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store


def data_sets(store: Store, records: Sequence[RunRecord]) -> Iterator[Block]:
    """A few lines for each data set, in the order of the records. Records of earlier releases do not say."""
    for identity in dict.fromkeys(record.data for record in records if record.data):
        found = store.description(identity).content
        yield Text(
            f"{found['name']}: {sum(found['slice_rows']):,} training rows, {found['holdout_rows']:,} held out "
            f"({found['holdout']}, in units of a {found['unit_name']})",
            is_note=True,
        )
        profile = found["profile"]
        if left_out := not_used(profile.get("columns", [])):
            yield Text(left_out)
        yield from (Text(f"Note: {note}") for note in profile.get("notes", []))
        yield from (Warning(warning) for warning in profile.get("warnings", []))
