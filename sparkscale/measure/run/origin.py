"""What a run was begun with: profiles, budgets, suite, host, code and software. It goes on only with the same, for
its executions share medians.
"""

from typing import Any

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from cluster.session import describe
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import Kind, RunRecord
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.worker import descriptions
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

Parts = dict[str, tuple[Kind, dict[str, Any]]]
"""By what a sentence calls them. A suite's deadline is no part of it: each record has its own, and a longer one is
what a case that ran out of time is repeated with.
"""


def _parts(suite: Suite, profiles: dict[ClusterProfile, Budget]) -> Parts:
    found: Parts = {
        "suite": ("suite", suite.model_dump(mode="json", exclude={"summary", "deadline_seconds", "goal"}))
    }
    for profile, granted in profiles.items():
        found[f"profile '{profile.name}'"] = "profile", describe(profile)
        found[f"budget on '{profile.name}'"] = "budget", granted.model_dump(mode="json")
    return found


def stored(store: Store, suite: Suite, profiles: dict[ClusterProfile, Budget]) -> dict[str, str]:
    """Stores what a run begins with; returns the ids of the descriptions by what a sentence calls them."""
    return {name: store.describe(kind, content) for name, (kind, content) in _parts(suite, profiles).items()}


def check_same_request(
    invocation: Invocation, store: Store, suite: Suite, profiles: dict[ClusterProfile, Budget]
) -> None:
    """Raises ConfigError if a profile, what it grants, or the suite is not what the run was begun with.

    Runs of earlier releases did not keep that.
    """
    for name, (_, content) in _parts(suite, profiles).items():
        if name not in invocation.origin:
            continue
        change = _change(store.description(invocation.origin[name]).content, content)
        if change:
            raise ConfigError(f"The run to resume was begun with another {name}: {change}. Start a new run.")


def check_same_origin(before: list[RunRecord], store: Store) -> None:
    """A run is of one host, one state of the code and one release of each package. Raises ConfigError when it was
    begun by others.
    """
    host = store.describe("host", descriptions.host())
    code = descriptions.code_state()
    for record in before:
        if record.host != host:
            raise ConfigError("The run to resume was measured on another host: start a new run.")
        if record.code != code:
            raise ConfigError(f"The run to resume was measured by {record.code}, not {code}: start a new run.")
    now = _releases(descriptions.software(None))
    for identity in {record.software for record in before}:
        for name, release in _releases(store.description(identity).content).items():
            if release != now.get(name):
                raise ConfigError(
                    f"The run to resume was measured with {name} {release or '(not installed)'}, not "
                    f"{now.get(name) or '(not installed)'}: start a new run."
                )


def check_same_java(before: list[RunRecord], store: Store, running: Cluster) -> None:
    """Raises ConfigError if sessions that this host started ran on another Java. Others' is not asked."""
    if running.profile.kind != "local" and not running.profile.starts_daemons:
        return
    ours = [record for record in before if record.case.cluster == running.profile.name]
    for identity in {record.software for record in ours}:
        java = store.description(identity).content.get("java_release")
        if java is not None and java != running.jdk.version:
            raise ConfigError(
                f"The run to resume was measured with Java {java}, not {running.jdk.version}: start a new run."
            )


def _releases(software: dict[str, Any]) -> dict[str, str | None]:
    return {"python": software["python"], **software["packages"]}


def _change(before: Any, now: Any, where: str = "") -> str | None:
    """The first difference, as part of a sentence; None if there is none."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if change := _change(before.get(key), now.get(key), f"{where}.{key}".lstrip(".")):
                return change
        return None
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return next((change for n, (one, two) in pairs if (change := _change(one, two, f"{where}[{n}]"))), None)
    return None if before == now else f"{where} was {before!r} and is {now!r}"
