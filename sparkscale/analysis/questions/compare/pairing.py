"""Finds the cases that both sides of a comparison have, and says why some of them must not be compared."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sparkscale.analysis.conditions import OF_CLUSTERS, is_emulated
from sparkscale.analysis.questions.compare.side import Side, Subject
from sparkscale.contract import filter as filters
from sparkscale.contract.errors import ConfigError
from sparkscale.contract.phrases import named
from sparkscale.contract.record import SHORT, CodeState, RunRecord

MOST_NAMED = 6
"""The largest number of values that a sentence names."""


class Pair(NamedTuple):
    """A case that both sides have: its subjects, and its executions on each side."""

    base: Subject
    head: Subject
    of_base: Sequence[RunRecord]
    of_head: Sequence[RunRecord]


@dataclass(frozen=True)
class Pairing:
    """The cases of two sides: those that both have, and those that only one has.

    `refused` says, in words, for each pair that should not be compared, in what the sides differ.
    """

    pairs: tuple[Pair, ...]
    only_base: tuple[Subject, ...]
    only_head: tuple[Subject, ...]
    refused: Mapping[Subject, tuple[str, ...]]
    """The keys are the subjects of the head."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """In words, in what the sides differ although they should not."""
        return tuple(dict.fromkeys(text for texts in self.refused.values() for text in texts))

    @property
    def half_emulated(self) -> frozenset[Subject]:
        """The subjects of the head for which some records, but not all, were measured on emulated hosts."""
        return frozenset(
            pair.head for pair in self.pairs if len({is_emulated(one) for one in (*pair.of_base, *pair.of_head)}) > 1
        )


def pair_up(base: Side, head: Side, ignored: Sequence[str] = ()) -> Pairing:
    """Returns the pairing of two sides. Cases that differ only in the properties `ignored` are the same case.

    Cases with other data of the same name, or with another version of their workload, are paired too, if it is clear
    which belong together. `refused` names them. Raises ConfigError if a side has several cases that are distinguished
    only by an ignored property.
    """
    own, its = (_by_identity(side, ignored) for side in (base, head))
    partners = {own[identity]: its[identity] for identity in own if identity in its}
    taken = set(partners.values())
    rest = [
        [one for one in side if one not in used] for side, used in ((own.values(), partners), (its.values(), taken))
    ]
    loose = [_groups(subjects, ignored) for subjects in rest]
    for identity, subjects in loose[0].items():
        others = loose[1].get(identity, [])
        if len(subjects) == len(others) == 1:
            partners[subjects[0]] = others[0]
    taken = set(partners.values())
    pairs = [Pair(one, two, base.by_subject[one], head.by_subject[two]) for one, two in partners.items()]
    refusals = {pair.head: tuple(dict.fromkeys(_refusals(base, head, pair, ignored))) for pair in pairs}
    return Pairing(
        tuple(sorted(pairs, key=_order)),
        tuple(one for one in base.by_subject if one not in partners),
        tuple(one for one in head.by_subject if one not in taken),
        {subject: texts for subject, texts in refusals.items() if texts},
    )


def _groups(subjects: Sequence[Subject], ignored: Sequence[str]) -> Mapping[Subject, list[Subject]]:
    """Returns the subjects by what they are, apart from their data and the version of their workload."""
    groups: dict[Subject, list[Subject]] = defaultdict(list)
    for subject in subjects:
        groups[subject.without(ignored, is_loose=True)].append(subject)
    return groups


def _by_identity(side: Side, ignored: Sequence[str]) -> dict[Subject, Subject]:
    """Returns the subjects of a side, by what they are without the properties `ignored`."""
    identities: dict[Subject, Subject] = {}
    for subject in side.by_subject:
        other = identities.setdefault(subject.without(ignored), subject)
        if other != subject:
            key = next((key for key in ignored if other.value(key) != subject.value(key)), ignored[0])
            values = sorted({one.value(key) for one in side.by_subject})
            raise ConfigError(
                f"{side.name} has cases that differ only in {key}, which is ignored: choose one with "
                f"--filter '{key}=…'. It has {named(values, MOST_NAMED)}."
            )
    return identities


def _refusals(base: Side, head: Side, pair: Pair, ignored: Sequence[str]) -> Iterator[str]:
    """Yields the conditions that differ between the two sides of a case, although they should be equal."""
    own, its = pair.base, pair.head
    if own.dataset_id != its.dataset_id and "dataset" not in ignored:
        yield f"{own.dataset}: other data of the same name"
    conditions = [
        {side.reader.of(record): record for record in records}
        for side, records in ((base, pair.of_base), (head, pair.of_head))
    ]
    where = f"{own.workload} on cluster {own.cluster}"
    for side, by_conditions in zip((base, head), conditions, strict=True):
        first = next(iter(by_conditions.values()))
        for other in list(by_conditions.values())[1:]:
            for text in side.reader.differences(first, other):
                yield f"{where}: some of its records in {side.name} have {text}"
    for one in conditions[0].values():
        for two in conditions[1].values():
            for text in base.reader.differences(one, two, head.reader):
                if "cluster" not in ignored or text not in OF_CLUSTERS:
                    yield f"{where}: {text}"


def changes(base: Side, head: Side, pairs: Sequence[Pair]) -> list[str]:
    """Returns the commits and package versions that differ between the sides: they are what is compared."""
    texts: dict[str, None] = {}
    seen = set()
    for pair in pairs:
        one, two = pair.of_base[-1], pair.of_head[-1]
        key = one.code, two.code, one.software, two.software
        if key in seen:
            continue
        seen.add(key)
        if one.code != two.code:
            texts[f"sparkscale at {_short(two.code)}, not {_short(one.code)}"] = None
        texts |= dict.fromkeys(base.reader.software_differences(one, two, head.reader))
    return list(texts)


def _short(code: CodeState) -> str:
    """Returns the state of the code in words, with the beginning of its commit."""
    return str(code.model_copy(update={"commit": code.commit and code.commit[:SHORT]}))


def _order(pair: Pair) -> tuple[object, ...]:
    """Returns the sort key of a case: its workload, then the declared order of engines, then the fraction."""
    one, record = pair.base, pair.of_base[0]
    position = record.declared.position(record.case.engine)
    return (
        one.workload,
        one.dataset,
        one.cluster,
        one.device,
        position,
        one.engine,
        one.set,
        one.parameters,
        one.fraction,
    )


def selected(side: Side, wanted: Mapping[str, Sequence[str]], name: str = "") -> Side:
    """Returns the side with only the cases that have one of the wanted values of each property.

    A value may contain wildcards. `name` is the new name of the side, if it gets one. Raises ConfigError if no case
    of the side has them.
    """

    def has(subject: Subject, keys: Sequence[str]) -> bool:
        return all(any(_matches(key, subject.value(key), value) for value in wanted[key]) for key in keys)

    kept = tuple(record for record in side.records if has(Subject.of(record), list(wanted)))
    if not kept:
        missing = [key for key in wanted if not any(has(one, [key]) for one in side.by_subject)]
        key = next(iter(missing or wanted))
        values = sorted({subject.value(key) for subject in side.by_subject})
        raise ConfigError(
            f"{side.name} has no case with {', '.join(f'{key}={value}' for key in wanted for value in wanted[key])}: "
            f"its values of {key} are {named(values, MOST_NAMED)}."
        )
    return replace(side, records=kept, name=name or side.name)


def _matches(key: str, value: str, pattern: str) -> bool:
    """Returns true if a value of a property matches a pattern. An engine may be named without its threads."""
    return filters.matches(value, pattern) or (key == "engine" and filters.matches(value.partition(",")[0], pattern))
