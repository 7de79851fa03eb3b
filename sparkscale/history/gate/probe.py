"""Asks the code of a checkout which cases and options it knows, before anything is measured."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparkscale.contract.errors import ConfigError, GateError
from sparkscale.history.gate.cases import write_suite
from sparkscale.history.gate.checkouts import Side
from sparkscale.history.gate.state import Missing, label
from sparkscale.measure.plan.suite import Block, Suite

SECONDS = 120

PROGRAM = """
import json, sys
from pathlib import Path
try:
    from sparkscale.measure.plan.suite import load
    from sparkscale.measure.plan.cases import planned_cases
except ImportError:  # commits before 2026-11-28
    from sparkscale.measure.suite import load
    planned_cases = None
def reason(file):
    try:
        load(str(file))
    except Exception as error:
        return str(error)
def keys(suite):
    names = ("workload", "engine", "dataset", "fraction", "device", "set")
    try:
        return sorted({" ".join(case.key(name) for name in names) for case in planned_cases(load(suite))})
    except Exception:
        return []
reasons = [reason(file) for file in sys.argv[2:]]
print(json.dumps({"reasons": reasons, "own": keys(sys.argv[1]) if sys.argv[1] else []}))
"""
"""Run in the checkout. It loads one suite file for each case, and lists the cases of the checkout's own suite."""


@dataclass(frozen=True)
class Known:
    """What a checkout knows. `missing` lists the cases that it cannot measure.

    `own` names the cases of its own suite, without their parameters. Empty if the checkout cannot list them.
    """

    missing: tuple[Missing, ...]
    own: tuple[str, ...]


def known_cases(side: Side, suite: Suite, blocks: Sequence[Block], own_suite: str) -> Known:
    """Returns which of the suite blocks, each with one case, the checkout knows.

    `own_suite` is the name of a suite that the checkout may have, or empty. If the checkout's code is too old for
    PROGRAM, nothing is missing here, and its own `sparkscale run` names what it does not know.
    """
    with tempfile.TemporaryDirectory(prefix="sparkscale-gate-") as folder:
        files = [write_suite(suite, [block], Path(folder) / str(position)) for position, block in enumerate(blocks)]
        done = _run(side, "-c", PROGRAM, own_suite, *map(str, files))
    if done.returncode:
        return Known((), ())
    answer = json.loads(done.stdout.splitlines()[-1])
    return Known(
        tuple(
            Missing(case=label(block), reason=_reason(text))
            for block, text in zip(blocks, answer["reasons"], strict=True)
            if text is not None
        ),
        tuple(answer["own"]),
    )


def run_options(side: Side, title: str) -> tuple[str, ...]:
    """Returns the options for `Side.run_options`. `title` is the side's name in messages.

    Raises ConfigError with the last line of the error if the checkout's `sparkscale run` does not start.
    """
    done = _run(side, "-m", "sparkscale", "run", "--help")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it gives no reason"])[-1].rstrip(".")
        raise ConfigError(f"The code of the {title} does not start: {reason}.")
    return ("--no-report",) if "--no-report" in done.stdout else ()


def _run(side: Side, *command: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command in the checkout. Raises GateError if it does not end within SECONDS."""
    environment = {**side.environment(), "COLUMNS": "200", "TERM": "dumb"}
    try:
        return subprocess.run(
            [str(side.python), *command],
            cwd=side.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GateError(f"The code in {side.root} does not answer within {SECONDS} s.") from None


def _reason(text: str) -> str:
    """Returns the reason without the name of the suite file, which exists no more."""
    return text.partition(": ")[2] or text if text.startswith("The suite ") else text
