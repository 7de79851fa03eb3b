"""Records as a Parquet file: other programs read its columns, and sparkscale reads the records again."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparkscale.contract.errors import ConfigError
from sparkscale.store import archive, record_file
from sparkscale.store.store import Store
from tests.builders import Writer, case, invocation, record

RECORDS = Path(__file__).parents[2] / "docs" / "results" / "records"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A file with a record that is ok and one that failed."""
    path = tmp_path / "records.parquet"
    with Store.open(tmp_path / "store") as store:
        store.begin(invocation())
        write = Writer(store)
        write(case("sklearn", 0.25), 1, seconds=2.0, peak=2**30)
        write(case("mllib", 1.0), 2, outcome="oom")
        record_file.pack(store, store.records(), path)
    return path


def test_other_programs_read_one_column_per_field(written: Path) -> None:
    frame = pd.read_parquet(written)
    assert frame["seconds.fit"].tolist()[:1] == [1.5]
    assert frame["error.type"].tolist() == [None, "E"]
    assert frame["outcome"].tolist() == ["ok", "oom"]


@pytest.mark.parametrize("name", ["quick", "inference-speed", "tuning", "per-group-speed"])
def test_real_records_read_back_unchanged_with_what_they_refer_to(name: str, tmp_path: Path) -> None:
    with archive.unpacked(RECORDS / f"{name}.parquet") as store:
        records = store.records()
        record_file.pack(store, records, tmp_path / "records.parquet")
        assert record_file.is_one(tmp_path / "records.parquet")
        with record_file.unpacked(tmp_path / "records.parquet") as again:
            assert [one.model_dump() for one in again.records()] == [one.model_dump() for one in records]
            assert again.invocation() == store.invocation()
            assert again.records()[0].declared == records[0].declared
            assert again.content(records[0].host) == store.content(records[0].host)


def test_a_record_that_failed_reads_back_unchanged(written: Path, tmp_path: Path) -> None:
    with record_file.unpacked(written) as again, Store.existing(tmp_path / "store") as store:
        assert again.records() == store.records()


def test_an_archive_is_no_file_of_records() -> None:
    assert not record_file.is_one(RECORDS / "quick.parquet")


def test_a_file_of_an_earlier_release_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    pq.write_table(pa.Table.from_pylist([record_file.flat(record("a"))]), path)
    assert record_file.is_one(path)
    with pytest.raises(ConfigError, match=r"old\.parquet does not say from which runs .* export them again"):  # noqa: SIM117
        with record_file.unpacked(path):
            pass


def test_a_damaged_file_is_one_sentence(written: Path, tmp_path: Path) -> None:
    table = pq.read_table(written)
    damaged = table.set_column(table.schema.get_field_index("round"), "round", pa.array(["x", "y"]))
    pq.write_table(damaged, tmp_path / "damaged.parquet")
    with pytest.raises(ConfigError, match=r"damaged\.parquet is a damaged file of records: 1 fields? "):  # noqa: SIM117
        with record_file.unpacked(tmp_path / "damaged.parquet"):
            pass


def test_a_name_may_have_dots_only_in_a_mapping_of_numbers() -> None:
    row = {"seconds.load.part": 1.0, "seconds_by_part.load.first": 2.0, "seconds_total": 3.0}
    fields = record_file.nested(row)
    assert fields["seconds"] == {"load.part": 1.0}
    assert fields["seconds_by_part"] == {"load": {"first": 2.0}}
    assert fields["seconds_total"] == 3.0


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # it sees the wrong type, too
@pytest.mark.parametrize("values", [(1, "one"), (1, 2**70)])
def test_values_that_no_column_can_hold_are_one_sentence_with_the_field(
    values: tuple[object, object], tmp_path: Path
) -> None:
    records = [record("a").model_copy(update={"round": value}) for value in values]
    path = tmp_path / "records.parquet"
    with (
        Store.open(tmp_path / "store") as store,
        pytest.raises(
            ConfigError, match=r"records\.parquet cannot be written, because .* all values of round: export"
        ),
    ):
        record_file.pack(store, records, path)
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store, pytest.raises(ConfigError, match="cannot be written"):
        record_file.pack(store, [], tmp_path / "absent" / "records.parquet")
