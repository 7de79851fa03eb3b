"""A side of a comparison, and the cases that it holds."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from sparkscale.analysis import metrics
from sparkscale.analysis.conditions import Reader
from sparkscale.contract.case import by_path, show_fraction
from sparkscale.contract.phrases import count, with_threads
from sparkscale.contract.record import SHORT, RunRecord
from sparkscale.contract.threshold import Threshold

SAMPLER_SEED = "sampler_seed"
"""The parameter of a search that is a seed: cases that differ only in it are repetitions."""
Seeds = tuple[int, int, int]


def seeds_of(record: RunRecord) -> Seeds:
    """Returns the seeds of an execution: those of the sample, the model and the search. 0 if there is no search."""
    return (*record.case.seeds, int(record.case.params.get(SAMPLER_SEED, 0)))


@dataclass(frozen=True)
class Side:
    """The base or the head: its name, its records, and a reader of the store that they come from.

    `left_out` says, in words, which records of the side do not count. `thresholds` are those of the side's suites.
    """

    name: str
    records: tuple[RunRecord, ...]
    reader: Reader
    left_out: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()

    @cached_property
    def by_subject(self) -> "dict[Subject, list[RunRecord]]":
        """The last record of each execution, by subject. Warm-ups are left out."""
        records: dict[Subject, list[RunRecord]] = defaultdict(list)
        for record in metrics.latest(self.records):
            records[Subject.of(record)].append(record)
        return dict(records)


@dataclass(frozen=True)
class Subject:
    """A case without its seeds: what is compared. `parameters` holds the workload's parameters as JSON."""

    workload: str
    version: int
    dataset: str
    dataset_id: str
    cluster: str
    device: str
    engine: str
    set: str
    parameters: str
    fraction: float

    @classmethod
    def of(cls, record: RunRecord) -> "Subject":
        """Returns the subject of a record."""
        case = record.case
        return cls(
            case.workload,
            case.version,
            case.dataset,
            case.dataset_id,
            case.cluster,
            case.device,
            with_threads(case.engine, record.limited_threads),
            case.parameter_set,
            json.dumps(case.params_without("arguments", "set", SAMPLER_SEED), sort_keys=True),
            case.fraction,
        )

    def value(self, key: str) -> str:
        """Returns the value of one of PROPERTIES as a text."""
        return show_fraction(self.fraction) if key == "fraction" else str(getattr(self, key))

    def without(self, keys: Sequence[str], is_loose: bool = False) -> "Subject":
        """Returns the subject without these properties, so that subjects that differ only in them are equal.

        If `is_loose` is true, subjects with other data of the same name, or another version, are equal too.
        """
        blank: dict[str, Any] = {key: "" for key in keys if key != "fraction"}
        if "dataset" in keys or is_loose:
            blank["dataset_id"] = ""
        if "fraction" in keys:
            blank["fraction"] = 0.0
        if is_loose:
            blank["version"] = 0
        return replace(self, **blank)

    def label(self, ignored: Sequence[str] = ()) -> str:
        """Returns the subject in words: "data_parallel.gradient_boosting xgboost flights 1/4 on local"."""
        kind = "" if self.set == "aligned" else f"({self.set})"
        place = f"on {self.cluster}{', gpu' if self.device == 'gpu' else ''}"
        parts = {
            "workload": self.workload,
            "engine": self.engine,
            "set": kind,
            "dataset": self.dataset,
            "fraction": show_fraction(self.fraction),
            "cluster": place,
        }
        return " ".join(text for key, text in parts.items() if text and key not in ignored)


def labels(subjects: Sequence[Subject], ignored: Sequence[str] = ()) -> dict[Subject, str]:
    """Returns the subjects in words, without the properties `ignored`.

    Where two would read alike, what differs is added: parameters, or the data.
    """
    alike: dict[str, list[Subject]] = defaultdict(list)
    for subject in subjects:
        alike[subject.label(ignored)].append(subject)
    words: dict[Subject, str] = {}
    for label, group in alike.items():
        texts = differing_parameters(group)
        words |= {subject: f"{label}{f' ({texts[subject]})' if texts[subject] else ''}" for subject in group}
    return words


def differing_parameters(subjects: Sequence[Subject]) -> dict[Subject, str]:
    """Returns, for each subject, the parameters in which it differs from others: "trees 10, learning_rate 0.3".

    If several data sets have the same name, the beginning of their ids is added.
    """
    paths: Mapping[Subject, dict[str, Any]] = {one: by_path(json.loads(one.parameters)) for one in subjects}
    names = dict.fromkeys(name for own in paths.values() for name in own)
    differing = [name for name in names if len({repr(own.get(name)) for own in paths.values()}) > 1]
    has_several_data = len({(one.dataset, one.dataset_id) for one in subjects}) > len(
        {one.dataset for one in subjects}
    )
    return {
        subject: ", ".join(
            [
                *(f"{name} {own[name]}" for name in differing if name in own),
                *([f"data {subject.dataset_id[:SHORT]}"] if has_several_data else []),
            ]
        )
        for subject, own in paths.items()
    }


@dataclass(frozen=True)
class Outcomes:
    """How executions of a case ended on one side. `reason` is the first error."""

    counts: tuple[tuple[str, int], ...]
    lost_executors: int
    reason: str

    @classmethod
    def of(cls, records: Sequence[RunRecord]) -> "Outcomes":
        """Returns the outcomes of these executions."""
        counts = Counter(record.outcome for record in records)
        errors = [record.error.first_line for record in records if record.outcome != "ok" and record.error]
        lost = sum(1 for record in records if record.outcome == "ok" and metrics.lost_executors(record))
        return cls(tuple(counts.items()), lost, errors[0] if errors else "")

    @property
    def ok(self) -> int:
        return dict(self.counts).get("ok", 0)

    @property
    def total(self) -> int:
        return sum(number for _, number in self.counts)

    @property
    def is_clean(self) -> bool:
        """True if every execution is ok, and none lost an executor."""
        return not self.lost_executors and [outcome for outcome, _ in self.counts] == ["ok"]

    @property
    def words(self) -> str:
        """The outcomes in words: "8 ok", "7 of 8 ok, 1 timeout"."""
        parts = [f"{self.ok} of {self.total} ok" if 0 < self.ok < self.total else f"{self.ok} ok" if self.ok else ""]
        parts += [f"{number} {outcome}" for outcome, number in self.counts if outcome != "ok"]
        parts += [f"{count(self.lost_executors, 'execution')} without a time (lost executor)"] * bool(
            self.lost_executors
        )
        return ", ".join(filter(None, parts))
