"""Compares samples with full data: for each engine, the time that a sample saves and the quality that it gives up."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from sparkscale.analysis import metrics
from sparkscale.analysis.criterion import Criterion, criterion_of
from sparkscale.analysis.crossed import ENOUGH_SEEDS
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step, share_of
from sparkscale.analysis.patterns.protocol import by_subject
from sparkscale.analysis.statistics import Spread
from sparkscale.contract.case import Capacity, Case, show_fraction
from sparkscale.contract.declared import WorkloadDescription
from sparkscale.contract.record import RunRecord
from sparkscale.store.store import Store

REPEAT_FAILED = "the cases without a result, measured again (--retry-failed)"


@dataclass
class EngineCurve:
    """All executions of one engine: a `Cell` for each fraction, in ascending order of fractions.

    `engine` is the name in tables, which states the number of threads if the suite limits them.
    """

    engine: str
    cells: list[Cell]

    @property
    def full(self) -> Cell | None:
        """The executions on all data. None if there are none."""
        return next((cell for cell in self.cells if cell.case.fraction == 1), None)

    @cached_property
    def steps(self) -> list[Step]:
        """The quality that each smaller fraction gives up against all data, in ascending order of fractions.

        Fractions that cannot be compared with all data are left out.
        """
        smaller = [cell for cell in self.cells if cell.case.fraction < 1]
        candidates = [Step.between(self.full, cell) for cell in smaller] if self.full else []
        return [step for step in candidates if step is not None]

    @cached_property
    def answer(self) -> "SampleAnswer":
        """The smallest sample that is enough.

        If the model of all data is doubtful, no sample is judged against it.
        """
        if self.full is None:
            return SampleAnswer(None, False, "not judged: all data was not measured", would_resolve="all data")
        if reason := self._not_judged(self.full):
            remedy = REPEAT_FAILED if not metrics.scored(self.full.records) else ""
            return SampleAnswer(None, False, f"not judged: {reason}", would_resolve=remedy)
        steps = {step.fraction for step in self.steps}
        without_result = [
            cell.case.fraction for cell in self.cells if cell.case.fraction < 1 and cell.case.fraction not in steps
        ]
        return SampleAnswer.of(self.steps, without_result)

    def _not_judged(self, full: Cell) -> str:
        """Returns the reason why no sample is judged against all data. Empty if samples are judged.

        `full` holds the executions on all data.
        """
        if full.doubt:
            return "see the warning on all data"
        if full.criterion.judged.estimator is None:
            return "no scores are stored"
        return "all data has no result" if full.quality is None else ""

    def cell(self, fraction: float) -> Cell | None:
        """Returns the executions on a fraction. None if there are none."""
        return next((cell for cell in self.cells if cell.case.fraction == fraction), None)

    def share_of_full_seconds(self, fraction: float) -> Spread | None:
        """Returns the time to model with a fraction divided by that with all data: the spread over rounds.

        None if either time is not known for every execution.
        """
        part = self.cell(fraction)
        return share_of(part, self.full) if part and self.full else None


@dataclass(frozen=True)
class SampleAnswer:
    """The smallest fraction that is enough, or why none is known."""

    step: Step | None
    """The quality that the smallest fraction that is enough gives up.

    If none is enough, that of the last tested fraction. None if the last tested fraction has no result, or if no
    sample is judged.
    """
    is_enough: bool
    text: str
    """The answer as part of a sentence."""
    is_too_little: bool = False
    """True if 1/2, the largest sample, is not enough."""
    would_resolve: str = ""
    """What to measure if the answer is not resolved."""
    failed: Step | None = None
    """The quality given up by the fraction that ended the search. None if it has no result, or if all are enough."""

    @classmethod
    def of(cls, steps: Sequence[Step], without_result: Sequence[float] = ()) -> "SampleAnswer":
        """Tests fractions from the largest down, and returns the answer.

        `without_result` names the measured fractions that have no result. The search stops at the first fraction that
        is not enough or has no result. Because the order is fixed, the risk of naming a fraction that is not enough
        is only that of a single test (Maurer, Hothorn and Lehmacher: Multiple comparisons in drug clinical trials,
        1995). After a failure no smaller fraction counts, even if its quality is better again.
        """
        by_fraction: dict[float, Step | None] = {
            **dict.fromkeys(without_result),
            **{step.fraction: step for step in steps},
        }
        if not by_fraction:
            return cls(
                None, False, "no smaller fraction than all data was measured", would_resolve="a smaller fraction"
            )
        enough: Step | None = None
        for fraction, step in sorted(by_fraction.items(), reverse=True):
            if step is None:
                name = f"{show_fraction(fraction)} has no result"
                text = f"{_in_words(enough, None)} ({name})" if enough else name
                return cls(enough, enough is not None, text, would_resolve="" if enough else REPEAT_FAILED)
            if step.verdict != "enough":
                above = "" if enough else _unmeasured(fraction, 1)
                too_little = not enough and step.verdict == "not enough" and not above
                would_resolve = "" if enough or too_little else _would_resolve(step, above)
                text = _in_words(enough, step)
                return cls(enough or step, enough is not None, text, too_little, would_resolve, step)
            enough = step
        return cls(enough, True, _in_words(enough, None))


def _in_words(enough: Step | None, failed: Step | None) -> str:
    """Returns the answer as a text.

    It names the smallest fraction that is enough (`enough`), the fraction at which the search stopped (`failed`),
    and fractions in between that were not measured.
    """
    step = enough or failed
    assert step is not None
    samples = step.estimate.seeds
    scope = f", for the {samples} samples drawn here" if samples > 1 else ", for the one sample drawn here"
    scope = scope if samples < ENOUGH_SEEDS else ""
    if enough is None:
        above = _unmeasured(step.fraction, 1)
        gap = f"; {above} {'was' if above.count('1/') == 1 else 'were'} not measured" if above else ""
        name = show_fraction(step.fraction)
        if step.verdict == "not enough":
            return f"more than {name}{scope}{gap}"
        reason = f": {step.estimate.why_none}" if step.estimate.why_none else ""
        return f"{name} not resolved{reason}{gap}"
    text = show_fraction(enough.fraction) + scope
    if failed is None:
        return text
    reason = f": {failed.estimate.why_none}" if failed.verdict == "not resolved" and failed.estimate.why_none else ""
    text += f" ({show_fraction(failed.fraction)} {failed.verdict}{reason}"
    between = _unmeasured(failed.fraction, enough.fraction)
    return text + (f"; {between} not measured)" if between else ")")


def _would_resolve(step: Step, above: str) -> str:
    """Returns the measurement that would resolve the verdict on a fraction, as a text.

    `step` holds the quality that the fraction gives up. `above` names larger fractions that were not measured.
    """
    if step.verdict == "not enough":
        return f"the fractions {above}" if "," in above else f"the fraction {above}"
    if step.estimate.why_none:
        return "a larger hold-out, of more units"
    return "more rounds, each with its own seeds"


def _unmeasured(low: float, high: float) -> str:
    """Returns the fractions between two measured fractions, as a text. Empty if there are none."""
    between = [fraction for fraction in (2.0**-power for power in range(7)) if low < fraction < high]
    return ", ".join(map(show_fraction, between))


@dataclass
class Tradeoff:
    """The comparison of one workload's engines on the same rows with the same parameters."""

    case: Case
    curves: list[EngineCurve]
    defaults: dict[str, Cell] = field(default_factory=dict)
    """The executions on all data with each library's own defaults, by engine."""
    executed: list[RunRecord] = field(default_factory=list)
    """Every execution of the compared cases, warm-ups included."""
    limited: list[EngineCurve] = field(default_factory=list)
    """Engines on one node with fewer threads than the profile grants.

    Tables show them, but only the answer about cores uses them.
    """

    @property
    def one_thread(self) -> dict[str, EngineCurve]:
        """The curves of `limited` that use one thread, by engine.

        The key is the engine's name without the number of threads. On a profile that grants one core, no engine is
        limited, so the curves with one thread are in `curves`.
        """
        cases = [(curve.cells[0].case, curve) for curve in self.limited]
        return {case.engine: curve for case, curve in cases if case.threads == 1}

    @property
    def criterion(self) -> Criterion:
        return criterion_of(self.records[0])

    @property
    def declared(self) -> WorkloadDescription:
        """The description of the compared workload."""
        return self.records[0].declared

    @property
    def shown(self) -> list[EngineCurve]:
        """The curves of all engines, in the order of tables."""
        return [*self.curves, *self.limited]

    @property
    def cells(self) -> list[Cell]:
        return [cell for curve in self.shown for cell in curve.cells]

    @property
    def records(self) -> list[RunRecord]:
        return [record for cell in self.cells for record in cell.records]

    @property
    def ceiling(self) -> float | None:
        """The ceiling on this hold-out. None if it is not known."""
        return next((cell.ceiling for cell in self.cells if cell.ceiling is not None), None)

    @property
    def judges_samples(self) -> bool:
        """True if samples were measured, and their quality can be judged against that of all data.

        Measurements of others are not judged, because their scores are not known.
        """
        has_samples = any(cell.case.fraction < 1 for curve in self.curves for cell in curve.cells)
        return has_samples and bool(self.criterion.key) and not self.case.is_published

    @property
    def has_first_runs(self) -> bool:
        return any(cell.first_run for cell in self.cells)

    @property
    def has_memory(self) -> bool:
        return any(record.resources.peak_pss_bytes is not None for cell in self.cells for record in cell.records)

    @property
    def tuned(self) -> Capacity | None:
        """The parameter for the size of a model, such as the number of trees, and the range of its values.

        Each engine chose a value from the range. None if the size was given.
        """
        capacity = self.case.params.get("capacity")
        return Capacity.model_validate(capacity) if capacity else None

    @property
    def job(self) -> str:
        """The subject of an answer: the workload and the size of its models, such as "gradient boosting, 100 trees".

        It also names the parameter set, unless this is `aligned`.
        """
        name = self.case.workload.rpartition(".")[2].replace("_", " ")
        kind = f", {self.case.parameter_set}" if self.case.parameter_set != "aligned" else ""
        return name + kind + (f", {self.size}" if self.size and not self.tuned else "")

    @property
    def size(self) -> str:
        """The size of the models on all data as text, such as "100 trees".

        If the parameter set `tuned` chose it, the text has one number per engine. Empty if the workload has no
        parameter for the size, or if the libraries' defaults apply.
        """
        if self.tuned:
            capacities = [f"{c.engine} {_whole(c.full.capacity)}" for c in self.curves if c.full and c.full.capacity]
            return f"{self.tuned.param} chosen on all data: {', '.join(capacities)}" if capacities else ""
        parameter = self.declared.capacity
        value = self.case.params.get(parameter)
        return f"{value} {parameter}" if value is not None else ""


def _whole(spread: Spread) -> str:
    """Returns a whole number as text, or the range if executions have different numbers."""
    return f"{spread.low:.0f}" if spread.low == spread.high else f"{spread.low:.0f}–{spread.high:.0f}"


def comparisons(store: Store, records: Sequence[RunRecord]) -> list[Tradeoff]:
    """Returns a comparison for each workload, data set, cluster, device and set of parameters, sorted by workload.

    Executions with a library's own defaults belong to the comparison with aligned parameters, if there is one.
    Engines that do not support a case are left out: `problems` gives the reason.
    """
    groups = [
        [Cell(of_variant[0].case, of_variant, store) for of_variant in variants.values()]
        for variants in by_subject("data_parallel", records, Case.subject_key, _variant)
    ]
    cells = [cell for group in groups for cell in group]
    executed = defaultdict(list)
    for record in records:
        executed[record.case.subject_key()].append(record)
    with_aligned = {_work(cell.case) for cell in cells if cell.case.parameter_set == "aligned"}
    to_compare = [
        group
        for group in groups
        if group[0].case.parameter_set != "defaults" or _work(group[0].case) not in with_aligned
    ]
    found = [_comparison(group, cells, executed[group[0].case.subject_key()]) for group in to_compare]
    return sorted(found, key=lambda tradeoff: tradeoff.case.workload)


def _comparison(group: list[Cell], cells: list[Cell], executed: list[RunRecord]) -> Tradeoff:
    curves, limited = (
        _curves(cell for cell in group if (cell.records[0].limited_threads is not None) == is_limited)
        for is_limited in (False, True)
    )
    case = group[0].case
    defaults = {
        cell.case.engine: cell
        for cell in cells
        if case.parameter_set == "aligned"
        and cell.case.parameter_set == "defaults"
        and cell.case.fraction == 1
        and cell.records[0].limited_threads is None
        and _work(cell.case) == _work(case)
    }
    return Tradeoff(case, curves, defaults, executed, limited)


def _curves(cells: Iterable[Cell]) -> list[EngineCurve]:
    """Returns the curve of each engine, in the order of the cells."""
    by_engine: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_engine[cell.records[0].engine].append(cell)
    return [EngineCurve(engine, curve_cells) for engine, curve_cells in by_engine.items()]


def _variant(case: Case) -> tuple[str, float, str]:
    return case.engine, case.fraction, case.experiment


def _work(case: Case) -> str:
    """Returns a key that is equal for cases that differ only in their parameters."""
    return case.subject_key(without=case.params)
