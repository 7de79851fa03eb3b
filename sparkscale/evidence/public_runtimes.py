"""Reads run times of Spark jobs that others published: C3O on EC2, and the Spark ML runs of Enel."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkscale.analysis.questions.runtime_model import Run
from sparkscale.contract.errors import ConfigError

C3O = {"sort": ("line_length",), "grep": ("p_occurrence",), "kmeans": ("features", "k")}
"""The C3O data sets, and the columns with the parameters of each job."""
ENEL = {"gbt": "Enel boosting", "logisticregression": "Enel logistic"}
"""The names of the Enel data sets: gradient-boosted trees and logistic regression of Spark ML."""
SOURCES = (
    "clone github.com/dos-group/c3o-experiments and github.com/dos-group/enel-experiments, and put c3o/sort.tsv, "
    "c3o/grep.tsv, c3o/kmeans.tsv, enel/ellis-gbt.csv and enel/ellis-logisticregression.csv into one folder"
)


@dataclass(frozen=True)
class Job:
    """The runs of one job. They differ only in the size and the scale-out."""

    name: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class DataSet:
    """A published data set. `left_out` says which of its runs cannot be used, and why. Empty if all are used."""

    name: str
    jobs: tuple[Job, ...]
    left_out: str = ""
    has_sizes: bool = True


def default_folder() -> Path:
    """Returns where the files lie beside the project."""
    return Path(__file__).resolve().parents[3] / "shared" / "data" / "runtimes"


def data_sets(folder: Path) -> list[DataSet]:
    """Reads all data sets in a folder. Those without a file are left out.

    Raises ConfigError if the folder has none of them, or if a file cannot be read.
    """
    files = {name: folder / "c3o" / f"{name}.tsv" for name in C3O}
    others = {name: folder / "enel" / f"ellis-{name}.csv" for name in ENEL}
    result = [_c3o(name, file) for name, file in files.items() if file.exists()]
    result += [_enel(name, file) for name, file in others.items() if file.exists()]
    if not result:
        raise ConfigError(f"{folder} has no published run times: {SOURCES}, and name it with --data.")
    return result


def _c3o(name: str, file: Path) -> DataSet:
    """Reads a file of C3O: one row for each run, and five runs of each configuration."""
    grouped: dict[str, list[Run]] = defaultdict(list)
    needed = ("machine_type", "instance_count", "data_size_MB", "gross_runtime", *C3O[name])
    for row in _rows(file, "\t", needed):
        job = ", ".join([row["machine_type"], *(f"{column} {row[column]}" for column in C3O[name])])
        grouped[job].append(_run(file, row["data_size_MB"], row["instance_count"], row["gross_runtime"]))
    jobs = tuple(Job(job, tuple(runs)) for job, runs in grouped.items())
    complete = tuple(job for job in jobs if len({run.scale_out for run in job.runs}) >= 6)
    left_out = len(jobs) - len(complete)
    return DataSet(name, complete, f"{left_out} jobs with fewer than six scale-outs" if left_out else "")


def _enel(name: str, file: Path) -> DataSet:
    """Reads a file of Enel: one row for each Spark job of a run.

    Only runs that kept one scale-out are valid. All have the same size, which the file does not state.
    """
    needed = ("ID", "DURATION_MS", "SCALE_OUT")
    grouped: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in _rows(file, "|", needed):
        grouped[row["ID"]].append(row)
    runs = []
    for rows in grouped.values():
        counts = {row["SCALE_OUT"] for row in rows}
        seconds = sum(_number(file, row["DURATION_MS"]) for row in rows) / 1000
        if len(counts) == 1:
            runs.append(_run(file, "1", counts.pop(), str(seconds)))
    left_out = f"{len(grouped) - len(runs)} of {len(grouped)} runs, because their scale-out changed while they ran"
    return DataSet(ENEL[name], (Job(ENEL[name], tuple(runs)),), left_out, has_sizes=False)


def _rows(file: Path, delimiter: str, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yields the rows of a file. Raises ConfigError if it cannot be read, or lacks a needed column."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, delimiter=delimiter)
            missing = [column for column in needed if column not in (reader.fieldnames or ())]
            if missing:
                raise ConfigError(f"{file} lacks the columns {', '.join(missing)}: get the file again ({SOURCES}).")
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"{file} cannot be read ({error}): get the file again ({SOURCES}).") from None


def _run(file: Path, size: str, scale_out: str, seconds: str) -> Run:
    return Run(_number(file, size), _number(file, scale_out), _number(file, seconds))


def _number(file: Path, text: str | None) -> float:
    """Returns a positive number. Raises ConfigError if the text is none."""
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{file} has '{text}' where a positive number must stand: get the file again ({SOURCES}).")
    return value
