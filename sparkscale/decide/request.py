"""The request of the user of `sparkscale decide`, and its checks before anything is prepared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.profile import Emulated
from sparkscale.analysis.questions.decide.grid import PATTERN, QUESTIONS, WORKERS
from sparkscale.contract.errors import ConfigError
from sparkscale.measure.plan import suite
from sparkscale.measure.plan.cases import planned_cases
from sparkscale.measure.run.run import Request
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store
from workloads.registry import AnySource

SUITE = "decide"
ALL = "all"
CONFIDENCE = 0.95


@dataclass(frozen=True)
class DecideRequest:
    """The request of the user. A field is None if the user did not give this option.

    `within_seconds` limits the wall time of this call. With `resume`, the last run of `decide` below `out` goes on.
    """

    out: Path
    within_seconds: float
    question: str | None = None
    suite: str | None = None
    workload: str | None = None
    data: AnySource | None = None
    clusters: tuple[str, ...] | None = None
    confidence: float | None = None
    seed: int | None = None
    resume: bool = False


def measuring_request(request: DecideRequest) -> Request:
    """Returns the request for the run that `decide` measures. Raises ConfigError if the user's request is wrong."""
    if request.resume:
        return _resumed(request)
    name = request.suite or SUITE
    filter_text = _filter(name, request.workload)
    questions = _questions(request.question or ALL, name, filter_text, request.clusters)
    return Request(
        name,
        request.out,
        filter_text,
        request.seed,
        clusters=request.clusters,
        data=request.data,
        command="decide",
        questions=questions,
        confidence=CONFIDENCE if request.confidence is None else request.confidence,
    )


def _resumed(request: DecideRequest) -> Request:
    """Returns the request that goes on with the last run. Raises ConfigError if an option differs from it."""
    with Store.existing(request.out) as store:
        invocation = store.invocation(request.suite, command="decide")
    filter_text = _filter(invocation.suite, request.workload) if request.workload else None
    if filter_text not in (None, invocation.filter):
        before = (invocation.filter or "").removeprefix("workload=") or "every workload of its suite"
        raise ConfigError(
            f"The run to resume measures {before}, not {request.workload}: leave --workload out, or start a new run."
        )
    return Request(
        invocation.suite,
        request.out,
        None,
        request.seed,
        clusters=request.clusters,
        data=request.data,
        command="decide",
        resume=True,
        invocation=invocation.id,
        questions=_same_questions(request, invocation),
        confidence=request.confidence,
    )


def _same_questions(request: DecideRequest, invocation: Invocation) -> tuple[str, ...] | None:
    """Returns the questions that the user gave, for the comparison with those of the run. None if none were given."""
    if request.question is None:
        return None
    return _questions(request.question, invocation.suite, invocation.filter, request.clusters or invocation.clusters)


def _filter(suite_name: str, workload: str | None) -> str | None:
    """Returns a filter for the cases of a workload. None if `workload` is None.

    The name of the pattern may be left out. Raises ConfigError if the suite does not have the workload.
    """
    if workload is None:
        return None
    full_name = workload if "." in workload else f"{PATTERN}.{workload}"
    known = list(dict.fromkeys(block.workload for block in suite.load(suite_name).measure))
    if full_name not in known:
        raise ConfigError(f"The suite {suite_name} has no workload '{workload}': it has {', '.join(known)}.")
    return f"workload={full_name}"


def _questions(
    question: str, suite_name: str, filter_text: str | None, clusters: tuple[str, ...] | None
) -> tuple[str, ...]:
    """Returns the questions that a run answers. `all` leaves out the question about workers with one profile.

    Raises ConfigError if the question is unknown, if no run of the suite can answer it, or if only some of the
    clusters have emulated hosts.
    """
    if question not in (*QUESTIONS, ALL):
        raise ConfigError(f"Unknown question '{question}': choose from {', '.join(QUESTIONS)} or {ALL}.")
    loaded = suite.load(suite_name)
    _check_pattern(suite_name, loaded.measure, filter_text)
    profiles = dict.fromkeys(case.cluster for case in planned_cases(loaded, clusters=clusters))
    emulated = [profile.name for profile in profiles if isinstance(profile, Emulated)]
    if emulated and len(emulated) < len(profiles):
        raise ConfigError(
            f"{', '.join(emulated)} has emulated hosts, which `decide` does not compare with real ones: choose "
            "either emulated clusters or real ones."
        )
    if question == ALL:
        return tuple(one for one in QUESTIONS if one != WORKERS or len(profiles) > 1)
    if question == WORKERS and len(profiles) == 1:
        raise ConfigError(
            f"The question '{WORKERS}' compares clusters, and {next(iter(profiles)).name} is only one: name several, "
            "such as --cluster standalone-1x1,standalone-2x1."
        )
    return (question,)


def _check_pattern(suite_name: str, blocks: Sequence[suite.Block], filter_text: str | None) -> None:
    """Raises ConfigError if a workload has a pattern for which `decide` knows no questions."""
    for block in blocks:
        is_chosen = filter_text in (None, f"workload={block.workload}")
        if is_chosen and not block.workload.startswith(f"{PATTERN}."):
            raise ConfigError(
                f"The suite {suite_name} measures {block.workload}, and `decide` answers questions about {PATTERN} "
                f"workloads only: choose another suite, or one of its workloads with --workload."
            )
