"""The cases of a gate: one suite block for each case, as files that the code of both sides reads."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from sparkscale.contract.case import Case, parse_fraction
from sparkscale.measure.plan.suite import Block, Suite, params_of
from workloads import registry

STATED = ("workload", "engines", "datasets", "fractions", "sets", "devices")
"""Fields of a suite block that a written suite always states, because the defaults of the other side may differ."""


def single_cases(suite: Suite) -> Suite:
    """Returns the suite with one suite block for each case of one round, and paths that hold in every folder.

    Goals are left out, because they judge a whole suite. Numbers of rounds are left out, too: every case is measured
    in every round, because a verdict needs all of them.
    """
    blocks = dict.fromkeys(
        json.dumps(single.model_dump(mode="json"), sort_keys=True)
        for block in suite.measure
        for single in _single(block)
    )
    clusters = tuple(str(Path(name).absolute()) if Path(name).is_file() else name for name in suite.clusters)
    measure = tuple(Block.model_validate_json(block) for block in blocks)
    return suite.model_copy(update={"clusters": clusters, "measure": measure, "goal": ()})


def _single(block: Block) -> Iterable[Block]:
    """Returns the suite block once for each of its cases, as `planned_cases` plans them."""
    if block.only_tables:
        return []
    return [
        block.model_copy(
            update={
                "engines": (engine.name,),
                "datasets": (dataset,),
                "fractions": (fraction,),
                "sets": (parameter_set,),
                "devices": (device,),
                "params": params,
                "sweep": {},
                "rounds": None,
            }
        )
        for engine in registry.workloads()[block.workload].engines
        for dataset in block.datasets
        for device in block.devices
        if block.has(engine, device)
        for parameter_set in block.sets
        for params in block.variants
        for fraction in block.fractions
    ]


def write_suite(suite: Suite, blocks: Sequence[Block], folder: Path) -> Path:
    """Writes a suite file with these suite blocks into the folder, and returns its path. Its name is the suite's."""
    content: dict[str, Any] = {
        "summary": suite.summary,
        "rounds": 1,
        "deadline_seconds": suite.deadline_seconds,
        "clusters": list(suite.clusters),
        "dataset": {
            name: {"kind": source.kind, **source.model_dump(mode="json", exclude_defaults=True, exclude={"name"})}
            for name, source in suite.dataset.items()
        },
        "target": [target.model_dump(mode="json", exclude_none=True) for target in suite.target],
        "measure": [_stated(block) for block in blocks],
    }
    path = folder / f"{suite.name}.toml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(tomlkit.dumps({name: value for name, value in content.items() if value}), "utf-8")
    return path


def _stated(block: Block) -> dict[str, Any]:
    """Returns the fields of a suite block that differ from their defaults, and those in STATED."""
    defaults = {name: field.default for name, field in Block.model_fields.items()}
    values = block.model_dump(mode="json")
    return {name: value for name, value in values.items() if name in STATED or value not in (defaults[name], None)}


def matching_blocks(suite: Suite, blocks: Sequence[Block], cases: Iterable[Case]) -> tuple[Block, ...]:
    """Returns the suite blocks, each with one case, that have at least one of these measured cases.

    The profile of a case does not matter, because a suite measures all suite blocks on all of its profiles.
    """
    measured = list(cases)
    return tuple(block for block in blocks if any(_has(suite, block, case) for case in measured))


def _has(suite: Suite, block: Block, case: Case) -> bool:
    """Returns true if the only case of the suite block is this measured case, whatever the seeds."""
    wanted = (
        block.workload,
        block.engines[0],
        suite.source(block.datasets[0]).title,
        parse_fraction(block.fractions[0]),
        block.sets[0],
        block.devices[0],
    )
    measured = (case.workload, case.engine, case.dataset, case.fraction, case.parameter_set, case.device)
    if wanted != measured or block.threads not in (None, case.threads):
        return False
    workload = registry.workloads()[block.workload]
    left_to_data = {"", None}  # a record has the value that the data gave, such as the name of a column
    (params,) = params_of(workload, block)
    given = params.model_dump(mode="json")
    return all(
        given[name] == value
        for name, value in case.stated.items()
        if name in given
        and name != workload.pattern.target
        and not (isinstance(given[name], str | None) and given[name] in left_to_data)
    )
