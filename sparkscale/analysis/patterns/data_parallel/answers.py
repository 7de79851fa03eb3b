"""Answers three questions about one comparison: is a sample enough, which engine is best on one node, does Spark pay?

Each answer is a short paragraph. It gives a range for each number, and names the records behind it. If an answer is
not resolved, it also says what to measure and how long this takes.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from sparkscale.analysis.blocks import Answer, Verdict, verdict_of
from sparkscale.analysis.crossed import ENOUGH_SEEDS, FEWEST_SEEDS
from sparkscale.analysis.duration import amount, further
from sparkscale.analysis.patterns.data_parallel import forecasts
from sparkscale.analysis.patterns.data_parallel.cell import Cell, Step
from sparkscale.analysis.patterns.data_parallel.comparison import EngineCurve, SampleAnswer, Tradeoff
from sparkscale.analysis.patterns.data_parallel.node_engines import NodeEngines
from sparkscale.analysis.patterns.data_parallel.rivalry import Rivalry
from sparkscale.analysis.patterns.data_parallel.spark_pays import SparkPays
from sparkscale.analysis.price import Price
from sparkscale.analysis.questions.crossover import FEWEST_SIZES
from sparkscale.analysis.statistics import FEWEST_ROUNDS, LEVEL, Spread, rounds_to_resolve
from sparkscale.contract.case import show_fraction
from sparkscale.contract.phrases import certainty, count
from sparkscale.contract.record import RunRecord

SAMPLE, NODE, SPARK = "Is a sample enough?", "Which engine on one node?", "Does Spark pay, and from which size?"
QUESTIONS = (SAMPLE, NODE, SPARK)

HOPELESS = "nothing more"
"""`would_resolve` begins with this if further rounds would hardly resolve the answer. The reason follows."""
LARGER = 4
"""The factor by which a proposed data set is larger than the largest measured one."""


@dataclass(frozen=True)
class Answers:
    """The answers for one comparison. `price` is the price of the cluster. None if it is not known."""

    comparison: Tradeoff
    price: Price | None = None

    def every(self) -> Iterator[Answer]:
        """Yields the answers in the order of QUESTIONS. Questions without measurements are left out."""
        if self.comparison.judges_samples:
            yield self._sample()
        if self._node:
            yield self._which_engine(self._node)
        if self.spark_pays.best_on_node:
            yield self._spark(self.spark_pays.best_on_node, self.spark_pays.overtaken)

    @cached_property
    def spark_pays(self) -> SparkPays:
        """The comparisons of engines on Spark with others. They are computed once, because they take seconds."""
        return SparkPays(self.comparison)

    @cached_property
    def _node(self) -> NodeEngines | None:
        return NodeEngines.of(self.comparison)

    def _answer(
        self, question: str, verdict: Verdict | None, text: str, curves: Iterable[EngineCurve], resolve: str = ""
    ) -> Answer:
        case = self.comparison.case
        if case.is_published and resolve:
            resolve = f"the same in {FEWEST_ROUNDS} rounds of your own"
        if resolve.startswith(HOPELESS):
            text, resolve = f"{text} Further rounds would hardly resolve it{resolve.removeprefix(HOPELESS)}.", ""
        return Answer(
            text,
            verdict,
            tuple(record.id for curve in curves for cell in curve.cells for record in cell.records),
            resolve if verdict == "not resolved" else "",
            question,
            self.comparison.job,
            f"{case.dataset}, cluster {case.cluster}, {case.device}",
        )

    # Is a sample enough?

    def _sample(self) -> Answer:
        """Returns the answer for the fastest engine on one node, and a short answer for each other engine."""
        curves = self.comparison.curves
        best = self._node.fastest.case.engine if self._node else curves[0].engine
        lead = next(curve for curve in curves if curve.engine == best)
        sentences = [
            self._sample_of(lead),
            *forecasts.sentences(lead, self.comparison.criterion),
            self._samples_of([curve for curve in curves if curve is not lead]),
        ]
        text = " ".join(sentence for sentence in sentences if sentence)
        return self._answer(SAMPLE, _verdict(lead.answer), text, curves, self._to_resolve_sample(lead))

    def _sample_of(self, curve: EngineCurve) -> str:
        """Returns sentences about the smallest sample that is enough for an engine, or about why none is known."""
        answer, step = curve.answer, curve.answer.step
        if step is None:
            return f"For {curve.engine}, no sample can be judged: {answer.text.removeprefix('not judged: ')}."
        fraction = show_fraction(step.fraction)
        conclusion, rest = "is not resolved", answer.text.removeprefix(f"{fraction} not resolved")
        if answer.is_enough:
            conclusion, rest = "is enough", answer.text.removeprefix(fraction)
        elif step.verdict == "not enough":
            conclusion, rest = "is too few", answer.text.removeprefix(f"more than {fraction}")
        seconds = curve.share_of_full_seconds(step.fraction) if answer.is_enough else None
        saves = f" Its time to model is {seconds.words('.0%')} of all data's." if seconds else ""
        return f"For {curve.engine}, {fraction} of the rows {conclusion}{rest}.{self._given_up(step)}{saves}"

    def _given_up(self, step: Step) -> str:
        """Returns a sentence with the quality that a fraction gives up. Empty if there is no interval."""
        criterion = self.comparison.criterion
        if step.interval is None or step.confidence is None:
            return ""
        value, low, high = self._shown(step)
        return (
            f" With {show_fraction(step.fraction)} of the rows, {criterion.name} is worse by {value} ({LEVEL:.0%} "
            f"interval {low} to {high}). The confidence that this is at most the tolerated {criterion.tolerated} is "
            f"{certainty(step.confidence)}."
        )

    def _shown(self, step: Step, sign: int = 1) -> list[str]:
        """Returns the quality that is given up, and the ends of its interval, as texts in ascending order.

        With `sign` -1 it returns the quality that is gained.
        """
        assert step.interval is not None
        bounds = sorted(sign * bound for bound in (step.interval.low, step.interval.high))
        return [self.comparison.criterion.show_given_up(number) for number in (sign * step.estimate.value, *bounds)]

    def _samples_of(self, curves: Sequence[EngineCurve]) -> str:
        """Returns a sentence about the other engines. Engines with the same answer are named together."""
        by_text: dict[str, list[str]] = defaultdict(list)
        for curve in curves:
            answer = curve.answer
            step = answer.step
            if answer.is_enough and step:
                short = f"{show_fraction(step.fraction)} is enough"
            elif answer.is_too_little and step:
                short = f"{show_fraction(step.fraction)} is too few"
            else:
                short = "not resolved" if step else answer.text
            by_text[short].append(curve.engine)
        parts = [f"{', '.join(engines)}: {short}" for short, engines in by_text.items()]
        return f"Other engines: {'; '.join(parts)}." if parts else ""

    def _to_resolve_sample(self, curve: EngineCurve) -> str:
        answer = curve.answer
        step = answer.step
        if step is None or step.verdict != "not resolved" or step.estimate.why_none:
            return answer.would_resolve
        if step.estimate.seeds < FEWEST_SEEDS:
            return self._rounds(ENOUGH_SEEDS, step.estimate.seeds, [curve.engine])
        rounds = step.estimate.seeds_to_resolve(step.tolerance)
        if rounds is None:
            if step.estimate.is_limited_by_units(step.tolerance):
                return "a larger hold-out, with more units: more rounds alone would not resolve it"
            return f"{HOPELESS}: the fraction gives up about as much as is tolerated"
        return self._rounds(rounds, step.estimate.seeds, [curve.engine])

    # Which engine on one node?

    def _which_engine(self, node: NodeEngines) -> Answer:
        fastest = node.fastest
        seconds = fastest.seconds
        assert seconds is not None
        rows = f"{fastest.rows:,} rows" if node.fraction == 1 else f"{show_fraction(node.fraction)} of the rows"
        cost = f", which costs {self.price.words(self.price.of_seconds(seconds.median))}" if self.price else ""
        sentences = [f"{fastest.case.engine} takes {seconds.words(unit=' s')} for {rows}{cost}."]
        sentences += [self._faster(node, rival) for rival in node.candidates[1:]]
        sentences += [
            f"{engine} is left out: its model{self._worse(step, ' gives up')}." for engine, step in node.worse.items()
        ]
        sentences += node.without
        compared = [curve for curve in self.comparison.curves if curve.cell(node.fraction) in node.cells]
        if len(node.cells) + len(node.without) == 1:
            return self._answer(NODE, None, f"{sentences[0]} No other engine was measured on one node.", compared)
        is_open = node.unresolved or node.without or node.rounds < FEWEST_ROUNDS
        verdict: Verdict = "not resolved" if is_open else "yes"
        return self._answer(NODE, verdict, " ".join(sentences), compared, self._to_resolve_engine(node))

    def _faster(self, node: NodeEngines, rival: Cell) -> str:
        """Returns a sentence with the speed-up over a rival, and a sentence with the difference in quality."""
        ratios = Spread.of(node.ratios(rival))
        if ratios is None:
            return f"It has no time to compare with {rival.case.engine} in some rounds."
        open_ = "" if node.is_resolved(rival) else " (not resolved)"
        text = f"It is {ratios.words('.2f')} times as fast as {rival.case.engine}{open_}"
        step = Step.between(rival, node.fastest) if rival.qualities and node.fastest.qualities else None
        return f"{text}.{self._difference(step) if step else ''}"

    def _difference(self, step: Step) -> str:
        """Returns a sentence about the quality of the fastest engine relative to a rival's. Empty if unknown."""
        if step.interval is None:
            return ""
        criterion = self.comparison.criterion
        value, low, high = self._shown(step, -criterion.sign)
        if not any(digit in "123456789" for shown in (value, low, high) for digit in shown):
            return f" Both models have the same {criterion.name}."
        if step.interval.low <= 0 <= step.interval.high:
            return f" The difference in {criterion.name} is not significant: {value} ({low} to {high})."
        return f" Its {criterion.name} differs by {value} ({low} to {high})."

    def _worse(self, step: Step, beginning: str) -> str:
        """Returns the quality that is given up, after `beginning`. Empty if there is no interval."""
        if step.interval is None:
            return ""
        value, low, high = self._shown(step)
        return f"{beginning} {value} ({low} to {high}) of {self.comparison.criterion.name}"

    def _to_resolve_engine(self, node: NodeEngines) -> str:
        needed = [rounds_to_resolve(node.ratios(rival), verdicts=node.verdicts) for rival in node.unresolved]
        if None in needed:
            return f"{HOPELESS}: the engines take about the same time"
        most = max((rounds for rounds in needed if rounds), default=FEWEST_ROUNDS)
        if most <= node.rounds:
            return "the cases without a time again (--retry-failed)"
        return self._rounds(most, node.rounds, [cell.case.engine for cell in node.candidates])

    # Does Spark pay?

    def _spark(self, rivalries: Sequence[Rivalry], overtaken: Sequence[Rivalry]) -> Answer:
        """Returns the answer to the question whether Spark pays.

        `rivalries` are those with the best single-node engine, and `overtaken` those with other single-node engines.
        """
        verdict = verdict_of([rivalry.verdict for rivalry in rivalries])
        sentences = []
        for rivalry in rivalries:
            sentences.append(f"{self._with_quality(rivalry)}.")
            sentences += [f"But {other.sentence()}." for other in overtaken if other.engine is rivalry.engine]
        if any(rivalry.crossover is None and rivalry.edge is None for rivalry in rivalries):
            sentences.append(f"Fewer than {FEWEST_SIZES} sizes have common rounds, so other sizes remain open.")
        text = " ".join(sentences)
        every = [*rivalries, *overtaken]
        compared = {id(curve): curve for rivalry in every for curve in (rivalry.engine, rivalry.rival)}
        return self._answer(SPARK, verdict, text, compared.values(), self._to_resolve_spark(rivalries))

    def _with_quality(self, rivalry: Rivalry) -> str:
        """Returns the sentence of a rivalry.

        If the engine's model is shown to be worse by more than the tolerance, the sentence also says by how much.
        """
        step = rivalry.gives_up
        worse = self._worse(step, "; but its model gives up") if step and rivalry.is_worse else ""
        return rivalry.sentence() + worse

    def _to_resolve_spark(self, rivalries: Sequence[Rivalry]) -> str:
        unresolved = [rivalry for rivalry in rivalries if rivalry.verdict == "not resolved"]
        engines = list(dict.fromkeys(curve.engine for r in unresolved for curve in (r.engine, r.rival)))
        rounds = min((rivalry.rounds for rivalry in unresolved), default=0)
        if rounds < FEWEST_ROUNDS:
            return self._rounds(FEWEST_ROUNDS, rounds, engines)
        crossovers = [rivalry.crossover for rivalry in unresolved if rivalry.crossover]
        if not crossovers:
            return "further fractions, or more rounds"
        rows = LARGER * max(crossover.largest for crossover in crossovers)
        seconds = {}
        for rivalry in unresolved:
            if rivalry.crossover:
                seconds[rivalry.engine.engine], seconds[rivalry.rival.engine] = rivalry.crossover.seconds(rows)
        return f"{rows:,.0f} rows, in {count(rounds, 'round')}: {amount(rounds * sum(seconds.values()))} or more"

    # Further rounds

    def _rounds(self, needed: int, measured: int, engines: Sequence[str]) -> str:
        """Returns a proposal to measure `needed` rounds of these engines, and how long the missing rounds take."""
        records = [record for record in self.comparison.executed if record.case.engine in engines]
        return _proposal(needed, measured, records)


def _proposal(needed: int, measured: int, records: Sequence[RunRecord]) -> str:
    takes = further(records, max(1, needed - measured))
    return f"{count(needed, 'round')} instead of {measured}" + (f": {takes} more" if takes else "")


def _verdict(answer: SampleAnswer) -> Verdict:
    return "yes" if answer.is_enough else "no" if answer.is_too_little else "not resolved"
