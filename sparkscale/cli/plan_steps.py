"""The steps of `sparkscale plan`: plan, propose what to measure, measure it, and plan again."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkscale.analysis.blocks import Block, Text
from sparkscale.analysis.questions.plan.basis import Matches, basis
from sparkscale.analysis.questions.plan.options import Option
from sparkscale.analysis.questions.plan.plan import Plan, plan
from sparkscale.analysis.questions.plan.proposal_report import change, proposal_report
from sparkscale.analysis.questions.plan.proposals import Proposed, proposed
from sparkscale.analysis.questions.plan.report import report
from sparkscale.analysis.questions.plan.wish import Offer, Wish
from sparkscale.cli import plan_measure, plan_settings
from sparkscale.contract.phrases import count
from sparkscale.measure.run import origin
from sparkscale.output import console
from sparkscale.present.terminal import drawn
from sparkscale.store.store import Store


@dataclass(frozen=True)
class Request:
    """What the user wants to plan."""

    workload: str
    wish: Wish
    matches: Matches | None
    offers: Sequence[Offer]
    executors: Sequence[int] | None
    shows_all: bool
    profiles: Sequence[str] = ()
    """The names or paths of the offered profiles, one for each offer."""


def blocks(request: Request, out: Path, within: float | None) -> list[Block]:
    """Returns the plan. If `within` is given, also what to measure next within these seconds."""
    with Store.existing(out) as store:
        answer = _plan(request, store)
        shown = _report(request, answer)
        if within is not None:
            shown += _proposal(_proposed(request, answer, within))
    return shown


def measured(request: Request, within: float, out: Path) -> list[Block]:
    """Measures what to measure next, and returns the new plan with what changed."""
    with Store.existing(out) as store:
        earlier = _plan(request, store)
        before = _proposed(request, earlier, within)
        shown = _proposal(before)
        if not before.runs:
            return shown
        origin.check_comparable([before.sample], store)
        named = dict.fromkeys(run.cluster for run, _, _ in before.runs)
        now = request.offers or [plan_settings.offer(name) for name in named]
        plan_measure.check_same_profiles(earlier.basis.offers, now)
        console(stderr=True).print(drawn([block for block in shown if not getattr(block, "is_code", False)]))
        suite, wanted = plan_measure.written(before, store, out, _paths(request))
    left = plan_measure.measure_suite(suite, wanted, out, within)
    with Store.existing(out) as store:
        answer = _plan(request, store)
        after = next((each for each in answer.options if _key(each) == _key(before.option)), answer.answer)
        return [*_report(request, answer), change(before.option, after), *_unmeasured(left)]


def _paths(request: Request) -> dict[str, str]:
    """Maps the names of offered profiles to the paths of their files, where the user gave one."""
    given = zip(request.offers, request.profiles, strict=True)
    return {offer.name: str(Path(text).resolve()) for offer, text in given if text != offer.name}


def _unmeasured(number: int) -> list[Block]:
    """Returns a sentence about proposed runs that did not begin in time. Empty if all were measured."""
    if not number:
        return []
    return [Text(f"{count(number, 'run')} of the proposal did not begin, because the time of --within was over.")]


def _plan(request: Request, store: Store) -> Plan:
    return plan(basis(store, request.workload, request.matches), request.wish, request.offers, request.executors)


def _report(request: Request, answer: Plan) -> list[Block]:
    """Returns the report of a plan, and the settings of its choice."""
    shown = [*report(answer, request.shows_all)]
    if answer.chosen:
        shown += plan_settings.settings(answer.chosen, request.offers or answer.basis.offers)
    return shown


def _proposed(request: Request, answer: Plan, within: float) -> Proposed:
    return proposed(answer, request.offers or answer.basis.offers, within)


def _proposal(runs: Proposed) -> list[Block]:
    """Returns what to measure next, and the command that does."""
    own = [each for each in sys.argv[1:] if each not in ("--propose", "--measure")]
    return [*proposal_report(runs, shlex.join(["sparkscale", *own, "--measure"]))]


def _key(option: Option) -> tuple[object, ...]:
    """Returns what an option has in common with itself in another plan."""
    return option.job.engine, option.job.device, option.place.cluster, option.place.cores, option.fraction
