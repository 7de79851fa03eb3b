"""Compares the conditions under which records were measured. Equal conditions make records comparable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sparkscale.analysis import circumstances
from sparkscale.contract.case import digest
from sparkscale.contract.phrases import named
from sparkscale.contract.record import RunRecord
from sparkscale.store.invocation import Invocation
from sparkscale.store.store import Store

PACKAGES = ("python", "implementation", "packages")
"""The parts of a description of software that all engines share. Engines on one node have no Java."""
OF_CLUSTERS = ("other settings of the cluster", "another budget of cores and memory")
"""The differences that follow from another cluster."""
EMULATED = "emulated"
"""The cluster kind of emulated hosts. What was measured on them is never mixed with measurements on real hosts."""
MOST = 4
"""The largest number of differing packages that a sentence names."""


class Conditions(NamedTuple):
    """The conditions that comparable records share, with any engine, as ids and digests."""

    host: str
    packages: str
    version: int
    profile: str
    budget: str
    is_cold: bool
    """True if the page cache was emptied before each execution."""
    is_emulated: bool
    """True if the hosts of the cluster were emulated."""


@dataclass(frozen=True)
class Reader:
    """Reads the conditions of records from a store. `invocations` holds the runs of the records by id."""

    store: Store
    invocations: Mapping[str, Invocation]
    _digests: dict[str, str] = field(default_factory=dict)
    """The digests of descriptions, by their ids."""

    def of(self, record: RunRecord) -> Conditions:
        """Returns the conditions of a record, without those that only engines on Spark have."""
        invocation = self.invocations[record.invocation]
        profile = invocation.origin.get(f"profile '{record.case.cluster}'", "")
        budget = invocation.origin.get(f"budget on '{record.case.cluster}'", "")
        packages = self._digest(record.software, PACKAGES)
        settings = self._digest(profile, None)
        return Conditions(
            record.host,
            packages,
            record.case.version,
            settings,
            budget,
            invocation.cold_cache,
            is_emulated(record),
        )

    def _digest(self, description: str, keys: tuple[str, ...] | None) -> str:
        """Returns a digest of a description: of the parts `keys`, or of all but the price if `keys` is None.

        The digest is empty if the id is empty, or if the store does not have the description.
        """
        if description and description not in self._digests:
            content = self.store.content(description)
            self._digests[description] = ""
            if content is not None:
                kept = {**content, "price": None} if keys is None else {key: content.get(key) for key in keys}
                self._digests[description] = digest(kept)
        return self._digests.get(description, "")

    def _host(self, identity: str) -> str:
        """Returns the host with this id in words."""
        content = self.store.content(identity)
        return circumstances.host(content) if content else "not described"

    def differences(self, record: RunRecord, other: RunRecord, of_other: "Reader | None" = None) -> Iterator[str]:
        """Yields, in words, each condition of `other` that differs from that of `record`, without package versions.

        Both records have the same workload. `of_other` reads the other record, if it lies in another store.
        """
        its_reader = of_other or self
        own, its = self.of(record), its_reader.of(other)
        if own.is_emulated != its.is_emulated:
            yield "emulated hosts, not real ones" if its.is_emulated else "real hosts, not emulated ones"
        if own.host != its.host:
            yield f"another host ({its_reader._host(its.host)}, not {self._host(own.host)})"
        if own.version != its.version:
            yield f"version {its.version} of the workload, not {own.version}"
        if own.profile != its.profile:
            yield OF_CLUSTERS[0]
        if own.budget != its.budget:
            yield OF_CLUSTERS[1]
        if own.is_cold != its.is_cold:
            yield f"a {'cold' if its.is_cold else 'warm'} page cache, not a {'cold' if own.is_cold else 'warm'} one"

    def software_differences(
        self, record: RunRecord, other: RunRecord, of_other: "Reader | None" = None
    ) -> Iterator[str]:
        """Yields, in words, the package versions that differ. If none does, yields whether Java differs.

        `of_other` reads the other record, if it lies in another store.
        """
        its_reader = of_other or self
        own = _versions(self.store.content(record.software))
        its = _versions(its_reader.store.content(other.software))
        if record.software != other.software and not (own and its):
            yield "package versions that are not described"
        elif self.of(record).packages != its_reader.of(other).packages:
            differing = [name for name in sorted({*own, *its}) if own.get(name) != its.get(name)]
            texts = [f"{name} {its.get(name) or 'none'}, not {own.get(name) or 'none'}" for name in differing]
            yield f"other versions ({named(texts, MOST, '; ')})"
        elif record.case.placement == other.case.placement and record.software != other.software:
            yield "another Java"  # engines on one node have none


def is_emulated(record: RunRecord) -> bool:
    """True if the record was measured on emulated hosts."""
    return record.case.cluster_kind == EMULATED


def _versions(content: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Returns the versions in a description of software, with that of Python."""
    if content is None:
        return {}
    return {"Python": content.get("python"), **content.get("packages", {})}
