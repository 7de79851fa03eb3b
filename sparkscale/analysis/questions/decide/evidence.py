"""What was measured so far, as the policy sees it: times, failures and qualities of the grid's cells."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from sparkscale.analysis import metrics
from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.patterns.data_parallel.cell import Seeds, Step
from sparkscale.analysis.patterns.data_parallel.scores import reading
from sparkscale.analysis.unit_quality import UnitQuality
from sparkscale.contract.record import Outcome, RunRecord
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Failure:
    """Why a cell has no time. `limit` is the number of seconds after which it was stopped; None if it was not."""

    outcome: Outcome
    message: str = ""
    limit: float | None = None

    def __str__(self) -> str:
        if self.limit is not None:
            return f"timeout after {self.limit:.0f} s"
        return f"{self.outcome}: {self.message}" if self.message else str(self.outcome)


class Evidence(Protocol):
    """What is known about the cells of a grid. Cells have the keys of `GridCell.key`."""

    def seconds(self, key: str) -> Mapping[int, float]:
        """Returns the times to model of a cell in seconds, by round."""

    def attempted(self, key: str) -> Collection[int]:
        """Returns the rounds in which a cell was measured, with or without a time."""

    def failure(self, key: str) -> Failure | None:
        """Returns why a cell has no time. None if it did not fail."""

    def gives_up(self, whole: str, part: str, most: int | None = None) -> Step | None:
        """Returns the quality that the cell `part` gives up against the cell `whole`, paired by seeds.

        `most` limits the pairs to those of the first rounds. None if no pair has stored scores.
        """

    def criterion(self, key: str) -> Criterion | None:
        """Returns the criterion of a cell. None if it was not measured."""

    def records(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Returns the ids of the records of these cells."""


class Observed:
    """The evidence in a store. `qualities` keeps what was computed from scores, by the record's id."""

    def __init__(
        self,
        store: Store,
        records: Sequence[RunRecord],
        qualities: MutableMapping[str, UnitQuality | None],
    ) -> None:
        self._store = store
        self._qualities = qualities
        self._by_key: dict[str, list[RunRecord]] = defaultdict(list)
        for record in metrics.latest(records):
            if not record.isolated:
                self._by_key[record.case.experiment].append(record)

    def seconds(self, key: str) -> Mapping[int, float]:
        """Returns the times to model of a cell in seconds, by round."""
        return {record.round: metrics.time_to_model(record) for record in metrics.timed(self._by_key[key])}

    def attempted(self, key: str) -> Collection[int]:
        """Returns the rounds in which a cell was measured, with or without a time."""
        return {record.round for record in self._by_key[key]}

    def failure(self, key: str) -> Failure | None:
        """Returns why a cell has no time. None if it did not fail."""
        failed = next((record for record in self._by_key[key] if record.outcome != "ok"), None)
        if failed is None:
            return None
        was_timed = failed.outcome == "timeout" and bool(metrics.timeouts([failed]))
        message = failed.error.first_line if failed.error and failed.outcome != "timeout" else ""
        return Failure(failed.outcome, message, failed.deadline_seconds if was_timed else None)

    def gives_up(self, whole: str, part: str, most: int | None = None) -> Step | None:
        """Returns the quality that `part` gives up against `whole`. None if no pair of seeds has stored scores."""
        better, worse = self._by_seeds(whole), self._by_seeds(part)
        both = [seeds for seeds in better if seeds in worse][:most]
        criterion = self.criterion(part)
        if not both or criterion is None:
            return None
        fraction = self._by_key[part][0].case.fraction
        return Step.of(fraction, [(better[seeds], worse[seeds]) for seeds in both], criterion)

    def criterion(self, key: str) -> Criterion | None:
        """Returns the criterion of a cell. None if it was not measured."""
        records = self._by_key[key]
        return criterion_of(records[0]) if records else None

    def records(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Returns the ids of the records of these cells."""
        return tuple(record.id for key in keys for record in self._by_key[key])

    def _by_seeds(self, key: str) -> dict[Seeds, UnitQuality]:
        """Returns the quality for each pair of seeds, in the order of rounds."""
        scored = sorted(metrics.scored(self._by_key[key]), key=lambda record: record.round)
        qualities = {record.case.seeds: self._quality(record) for record in scored}
        return {seeds: quality for seeds, quality in qualities.items() if quality is not None}

    def _quality(self, record: RunRecord) -> UnitQuality | None:
        """Returns the quality of a record's model. None if no scores are stored."""
        if record.id not in self._qualities:
            criterion = criterion_of(record)
            self._qualities[record.id] = None
            if criterion.judged.estimator and criterion.key in record.quality:
                with suppress(KeyError):
                    self._qualities[record.id] = reading(self._store, record, criterion)()[0]
        return self._qualities[record.id]
