"""Checks that a resumed run has the same origin as before: suite, profiles, budgets, host, code and software.

A run can be resumed only with the same origin, because medians are computed over all executions of the run.
"""

from typing import Any

from cluster.budget import Budget
from cluster.lifecycle import Cluster
from cluster.profile import ClusterProfile
from cluster.session import describe
from sparkscale.contract import redaction
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.record import Kind, RunRecord
from sparkscale.measure.plan.suite import Suite
from sparkscale.measure.worker import descriptions
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

Parts = dict[str, tuple[Kind, dict[str, Any]]]
"""The parts of an origin, by their names in messages. Each value is the kind and the content of a description.

The suite's deadline is not included. Each record stores its own deadline, and a case that timed out may be
repeated with a longer deadline.
"""


def _parts(suite: Suite, profiles: dict[ClusterProfile, Budget]) -> Parts:
    parts: Parts = {
        "suite": ("suite", suite.model_dump(mode="json", exclude={"summary", "deadline_seconds", "goal", "gate"}))
    }
    for profile, granted in profiles.items():
        parts[_part_of(profile)] = "profile", describe(profile)
        parts[f"budget on '{profile.name}'"] = "budget", granted.model_dump(mode="json")
    return parts


def _part_of(profile: ClusterProfile) -> str:
    return f"profile '{profile.name}'"


def store_origin(store: Store, suite: Suite, profiles: dict[ClusterProfile, Budget]) -> dict[str, str]:
    """Stores the origin of a run. Returns the ids of the stored descriptions, by the names of the parts."""
    parts = _parts(suite, profiles)
    for profile in profiles:
        if profile.price:
            kind, content = parts[_part_of(profile)]
            price = {**profile.price.model_dump(mode="json"), "source": redaction.text(profile.price.source)}
            parts[_part_of(profile)] = kind, {**content, "price": price}
    return {name: store.describe(kind, content) for name, (kind, content) in parts.items()}


def check_same_request(
    invocation: Invocation, store: Store, suite: Suite, profiles: dict[ClusterProfile, Budget]
) -> None:
    """Raises ConfigError if the suite, a profile or its budget has changed since the run began.

    The price of a profile may change, because it changes no measured value. The run keeps the price with which it
    began. Runs of earlier releases did not store their origin, so these runs are not checked.
    """
    for name, (_, content) in _parts(suite, profiles).items():
        if name not in invocation.origin:
            continue
        before = store.description(invocation.origin[name]).content
        change = _change({key: value for key, value in before.items() if key != "price"}, content)
        if change:
            raise ConfigError(f"The run to resume was begun with another {name}: {change}. Start a new run.")


def check_same_origin(before: list[RunRecord], store: Store) -> None:
    """Raises ConfigError if host, code or package versions differ from the earlier records."""
    host = store.describe("host", descriptions.host())
    code = descriptions.code_state()
    for record in before:
        if record.host != host:
            raise ConfigError("The run to resume was measured on another host: start a new run.")
        if record.code != code:
            raise ConfigError(f"The run to resume was measured by {record.code}, not {code}: start a new run.")
    if changed := _changed_release(before, store):
        raise ConfigError(f"The run to resume was measured with {changed}: start a new run.")


def check_comparable(records: list[RunRecord], store: Store) -> None:
    """Raises ConfigError if new records could not be compared with these: if host or package versions differ."""
    host = store.describe("host", descriptions.host())
    if any(record.host != host for record in records):
        raise ConfigError(
            "The records were measured on another host, so new ones cannot be added to them: measure there, or begin "
            "here with `sparkscale run`."
        )
    if changed := _changed_release(records, store):
        raise ConfigError(
            f"The records were measured with {changed}, so new ones cannot be added to them: install that release, "
            "or begin again with `sparkscale run`."
        )


def _changed_release(records: list[RunRecord], store: Store) -> str | None:
    """Returns the first package with another release now, such as "xgboost 3.1, not 3.2". None if all are equal."""
    now = _releases(descriptions.software(None))
    for identity in {record.software for record in records}:
        for name, release in _releases(store.description(identity).content).items():
            if release != now.get(name):
                return f"{name} {release or '(not installed)'}, not {now.get(name) or '(not installed)'}"
    return None


def check_same_java(before: list[RunRecord], store: Store, running: Cluster) -> None:
    """Raises ConfigError if the earlier records on this cluster used another release of Java.

    Clusters that sparkscale did not start are not checked.
    """
    if running.profile.kind != "local" and not running.profile.starts_daemons:
        return
    cluster_records = [record for record in before if record.case.cluster == running.profile.name]
    for identity in {record.software for record in cluster_records}:
        java = store.description(identity).content.get("java_release")
        if java is not None and java != running.jdk.version:
            raise ConfigError(
                f"The run to resume was measured with Java {java}, not {running.jdk.version}: start a new run."
            )


def _releases(software: dict[str, Any]) -> dict[str, str | None]:
    return {"python": software["python"], **software["packages"]}


def _change(before: Any, now: Any, path: str = "") -> str | None:
    """Returns a text about the first difference, such as "rounds was 3 and is 5"; None if nothing differs.

    `path` is the place of the two values in the whole content.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted(before.keys() | now.keys()):
            if change := _change(before.get(key), now.get(key), f"{path}.{key}".lstrip(".")):
                return change
        return None
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        pairs = enumerate(zip(before, now, strict=True))
        return next((change for n, (one, two) in pairs if (change := _change(one, two, f"{path}[{n}]"))), None)
    return None if before == now else f"{path} was {before!r} and is {now!r}"
