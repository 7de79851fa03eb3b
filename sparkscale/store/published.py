"""Imports measurements that others published: makes a run of records from a CSV file."""

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sparkscale.contract.case import PUBLISHED, Case, Task, digest
from sparkscale.contract.declared import EngineDescription, Judged, QualityFigure, WorkloadDescription
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import CodeState, Resources, RunRecord
from sparkscale.store import archive
from sparkscale.store.invocation import Invocation
from sparkscale.store.published_csv import KNOWN_QUALITIES, QUALITY, Measurement, read
from sparkscale.store.store import Store

REPORT = "data_parallel"
PHASE = "published"
"""The only phase of these records: the published seconds are the time to model."""
GIGABYTE = 10**9


@dataclass(frozen=True)
class Imported:
    """An imported run: its id, the number of records, and the number of rows that were skipped."""

    run: str
    records: int
    skipped: int


def take(path: Path, folder: Path) -> Imported:
    """Makes a run of the measurements in a CSV file, and stores it in a folder.

    The run is marked as imported: it is shown and exported, but never resumed. Raises ConfigError if the file cannot
    be read or has a fault, or if the store already has these measurements. Raises StoreError if the store cannot be
    written. After an error the store is unchanged.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    sha256 = hashlib.sha256(content).hexdigest()
    table = read(path, content)
    publication = _Publication(path, sha256, table.measurements)
    with (
        tempfile.TemporaryDirectory(prefix="sparkscale-published-") as temporary,
        Store.open(Path(temporary)) as made,
    ):
        records = publication.add_to(made)
        archive.merge(path, made, folder)
    return Imported(publication.run, records, table.skipped)


class _Publication:
    """The measurements of one file, as the records of one run."""

    def __init__(self, path: Path, sha256: str, measurements: Sequence[Measurement]) -> None:
        self.path = path
        self.sha256 = sha256
        self.measurements = measurements
        self.run = sha256[:12]
        self.most_rows: dict[str, int] = {}
        for measurement in measurements:
            dataset = self._dataset(measurement)
            self.most_rows[dataset] = max(measurement.rows, self.most_rows.get(dataset, 0))

    def add_to(self, store: Store) -> int:
        """Stores the run with its records and descriptions. Returns the number of records."""
        by_workload: dict[str, list[Measurement]] = {}
        for measurement in self.measurements:
            by_workload.setdefault(self._workload(measurement), []).append(measurement)
        described = {name: self._description(name, of_one) for name, of_one in by_workload.items()}
        cases = [self._case(measurement, described[self._workload(measurement)]) for measurement in self.measurements]
        self._check_distinct(cases)
        source = {"published": self.path.name, "sha256": self.sha256}
        host, software = store.describe("host", source), store.describe("software", source)
        workloads = {
            name: store.describe("workload", description.model_dump(mode="json"))
            for name, description in described.items()
        }
        store.begin(
            Invocation(
                id=self.run,
                suite=self.path.name,
                started_at=datetime.now(UTC),
                seed=0,
                rounds=len({measurement.round for measurement in self.measurements}),
                filter=None,
                command="import",
                imported=True,
                executions=len(cases),
            )
        )
        for measurement, case in zip(self.measurements, cases, strict=True):
            store.add(self._record(measurement, case, host, software, workloads[case.workload]), {})
        return len(cases)

    def _workload(self, measurement: Measurement) -> str:
        return measurement.workload or f"imported.{self.path.stem}"

    def _dataset(self, measurement: Measurement) -> str:
        return measurement.dataset or self.path.stem

    def _description(self, name: str, measurements: Sequence[Measurement]) -> WorkloadDescription:
        """Returns the description of a workload. Raises ConfigError if one of its engines has two placements."""
        engines: dict[str, Measurement] = {}
        for measurement in measurements:
            first = engines.setdefault(measurement.engine, measurement)
            if first.runs_on != measurement.runs_on:
                raise ConfigError(
                    f"{self.path}, line {measurement.line}: the placement of {measurement.engine} is "
                    f"{measurement.runs_on}, but {first.runs_on} in line {first.line}: give it two names."
                )
        qualities = list(dict.fromkeys(quality for measurement in measurements for quality in measurement.quality))
        judged_by = next((quality for quality in qualities if quality in KNOWN_QUALITIES), None)
        return WorkloadDescription(
            workload=name,
            version=1,
            summary=f"Measurements that others published, from {self.path.name}.",
            pattern=REPORT,
            report=REPORT,
            phases=(PHASE,),
            time_to_model=(PHASE,),
            judged=_judged(judged_by) if judged_by else {},
            qualities=tuple(map(_declared, qualities)),
            beside=tuple(quality for quality in qualities if quality != judged_by),
            engines=tuple(
                EngineDescription(name=engine, placement=measurement.runs_on)
                for engine, measurement in engines.items()
            ),
        )

    def _case(self, measurement: Measurement, workload: WorkloadDescription) -> Case:
        dataset = self._dataset(measurement)
        return Case(
            workload=workload.workload,
            version=workload.version,
            pattern=workload.pattern,
            task=next(iter(workload.judged), None),
            engine=measurement.engine,
            placement=measurement.runs_on,
            cluster=measurement.cluster,
            cluster_kind=PUBLISHED,
            device=measurement.device,
            dataset=dataset,
            dataset_id=digest([PUBLISHED, self.sha256, dataset]),
            rows=measurement.rows,
            fraction=measurement.rows / self.most_rows[dataset],
            sample_seed=measurement.round,
            model_seed=measurement.round,
            threads=None,
            params={"set": "aligned", **measurement.params, "arguments": {}},
        )

    def _check_distinct(self, cases: Iterable[Case]) -> None:
        """Raises ConfigError if two rows have the same case and round."""
        lines: dict[str, int] = {}
        for measurement, case in zip(self.measurements, cases, strict=True):
            first = lines.setdefault(case.id, measurement.line)  # the round is the case's seed
            if first != measurement.line:
                raise ConfigError(
                    f"{self.path}, line {measurement.line} has the engine, rows, cores, parameters and round of line "
                    f"{first}: number repeats in the column 'round'."
                )

    def _record(self, measurement: Measurement, case: Case, host: str, software: str, workload: str) -> RunRecord:
        """Returns the record of a measurement. `host`, `software` and `workload` are ids of descriptions."""
        is_ok = measurement.outcome == "ok"
        seconds, memory = measurement.seconds, measurement.memory_gb
        return RunRecord(
            id=digest([PUBLISHED, self.sha256, measurement.line]),
            suite=self.path.name,
            invocation=self.run,
            started_at=None,
            round=measurement.round,
            jvm=None,
            temperature="warm",
            isolated=False,
            case=case,
            outcome=measurement.outcome,
            error=None,
            seconds={PHASE: seconds} if is_ok and seconds is not None else {},
            quality=measurement.quality,
            figures={},
            resources=Resources(
                cores=measurement.cores,
                threads=None,
                peak_pss_bytes=None if memory is None else round(memory * GIGABYTE),
                page_cache=None,
            ),
            spark=None,
            code=CodeState(commit=None, dirty=None),
            host=host,
            software=software,
            session=None,
            deadline_seconds=seconds if measurement.outcome == "timeout" else None,
            workload=workload,
        )


def _declared(quality: str) -> QualityFigure:
    known = KNOWN_QUALITIES.get(quality)
    if known is None:
        return QualityFigure(name=QUALITY)
    return QualityFigure(name=quality, heading=known.heading, direction=known.direction)


def _judged(quality: str) -> dict[Task, Judged]:
    """Returns the criterion by which engines are compared. It has no estimator, because no scores are stored."""
    known = KNOWN_QUALITIES[quality]
    within = f"the same {known.heading}"
    judged = Judged(quality=quality, direction=known.direction, tolerance=0.0, within=within, form=".4g")
    return {known.task: judged}
