"""Arranges the answers of several comparisons.

Answers to questions are grouped by data and hardware, then by question. The other answers are grouped by subject.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from sparkscale.analysis.blocks import Answer, Block, Text


def answers_to_questions(answers: Sequence[Answer]) -> Iterator[Block]:
    """Yields the answers below their questions. Answers without a question are left out."""
    by_scope: dict[str, dict[str, list[Answer]]] = defaultdict(lambda: defaultdict(list))
    for answer in answers:
        if answer.question:
            by_scope[answer.scope][answer.question].append(answer)
    for scope, by_question in by_scope.items():
        for question, found in by_question.items():
            yield Text(f"{question} ({scope})")
            yield from found


def answers_by_subject(by_subject: Iterable[tuple[str, Sequence[Answer]]]) -> Iterator[Block]:
    """Yields the answers that have no question, each below its subject."""
    for subject, every in by_subject:
        answers = [answer for answer in every if not answer.question]
        if not answers:
            continue
        yield Text(f"{subject}:")
        yield from answers
        measurements = list(dict.fromkeys(answer.would_resolve for answer in answers if answer.would_resolve))
        if measurements:
            yield Text(f"To resolve the rest, measure {'; '.join(measurements)}.", is_note=True)
