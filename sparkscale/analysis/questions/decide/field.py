"""Sorts the cells of a grid: which engines compete in which subject, on which profile, and with which sizes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sparkscale.analysis.questions.decide.grid import GridCell
from sparkscale.contract.case import Placement
from sparkscale.contract.phrases import count


@dataclass(frozen=True)
class Track:
    """The cells of one engine on one profile, in ascending order of fractions."""

    engine: str
    cluster: str
    placement: Placement
    cells: tuple[GridCell, ...]

    def cell(self, fraction: float) -> GridCell | None:
        """Returns the cell with this fraction. None if the grid has none."""
        return next((cell for cell in self.cells if cell.fraction == fraction), None)

    @property
    def cores(self) -> int:
        return self.cells[-1].cores

    @property
    def place(self) -> tuple[str, Placement]:
        """The profile and the placement. Times of equal places have about the same noise."""
        return self.cluster, self.placement


@dataclass(frozen=True)
class Subject:
    """The engines that solve the same task with the same parameters.

    `node` holds the tracks on one node, all on the profile with the most cores, and `spark` those on Spark, on every
    profile.
    """

    name: str
    workload: str
    node: tuple[Track, ...]
    spark: tuple[Track, ...]

    @property
    def largest(self) -> int:
        """The number of rows of the largest cell."""
        return max(cell.rows for track in (*self.node, *self.spark) for cell in track.cells)

    @property
    def rounds(self) -> int:
        """The most rounds that a cell has."""
        return max(cell.rounds for track in (*self.node, *self.spark) for cell in track.cells)

    @property
    def sizes(self) -> int:
        """The largest number of sizes of a track."""
        return max(len(track.cells) for track in (*self.node, *self.spark))


def subjects(grid: Sequence[GridCell]) -> tuple[list[Subject], list[str]]:
    """Returns the subjects of a grid, and a sentence about each kind of cells that answers no question."""
    shared = [cell for cell in grid if not cell.isolated]
    notes = _note(len(grid) - len(shared), "isolated case", "it shows memory and first runs")
    granted: dict[str, int] = defaultdict(int)
    for cell in shared:
        granted[cell.cluster] = max(granted[cell.cluster], cell.cores)
    full = [cell for cell in shared if cell.placement == "spark" or cell.cores == granted[cell.cluster]]
    notes += _note(len(shared) - len(full), "case", "it has fewer threads than its profile grants")
    aligned = {(cell.workload, cell.device) for cell in full if cell.parameter_set != "defaults"}
    kept = [cell for cell in full if cell.parameter_set != "defaults" or (cell.workload, cell.device) not in aligned]
    notes += _note(len(full) - len(kept), "case", "it has the libraries' own defaults")
    groups: dict[tuple[str, str, str], list[GridCell]] = defaultdict(list)
    for cell in kept:
        groups[cell.workload, cell.parameter_set, cell.device].append(cell)
    made = [_subject(*key, cells) for key, cells in groups.items()]
    used = sum(len(track.cells) for subject in made for track in (*subject.node, *subject.spark))
    notes += _note(
        len(kept) - used, "case", "engines on one node are measured on the profile with the most cores only"
    )
    return made, notes


def _note(number: int, noun: str, why: str) -> list[str]:
    """Returns a sentence about cells that are left out. Returns an empty list if there are none."""
    return [f"{count(number, noun)} left out, because {why}."] if number else []


def _subject(workload: str, parameter_set: str, device: str, cells: Sequence[GridCell]) -> Subject:
    tracks: dict[tuple[str, str, Placement], list[GridCell]] = defaultdict(list)
    for cell in cells:
        tracks[cell.engine, cell.cluster, cell.placement].append(cell)
    every = [Track(*key, tuple(sorted(of_track, key=lambda cell: cell.fraction))) for key, of_track in tracks.items()]
    node = [track for track in every if track.placement == "node"]
    home = max(node, key=lambda track: track.cores).cluster if node else ""
    return Subject(
        subject_name(workload, parameter_set, device),
        workload,
        tuple(track for track in node if track.cluster == home),
        tuple(track for track in every if track.placement == "spark"),
    )


def subject_name(workload: str, parameter_set: str, device: str) -> str:
    """Returns the name of a subject, such as "gradient boosting" or "gradient boosting, tuned, gpu"."""
    kind = "" if parameter_set == "aligned" else f", {parameter_set}"
    return workload.rpartition(".")[2].replace("_", " ") + kind + ("" if device == "cpu" else f", {device}")
