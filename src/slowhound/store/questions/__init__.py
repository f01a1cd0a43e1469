"""The named questions: each is one SQL text, see ``dialect`` for its rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slowhound.store.answer import StoreError
from slowhound.store.questions import causes, requests, workers
from slowhound.store.questions.question import Parameter, Question

__all__ = ["QUESTIONS", "Parameter", "Question", "bound"]

QUESTIONS: dict[str, Question] = {
    each.name: each for each in (*requests.QUESTIONS, *causes.QUESTIONS, *workers.QUESTIONS)
}
# Later than all events.
END_OF_TIME = 1e12


def bound(
    name: str,
    since: float | None,
    until: float | None,
    limit: int,
    parameters: Mapping[str, Any],
) -> tuple[Question, dict[str, Any]]:
    """A question, and the values of all its parameters.

    Raises:
        StoreError: there is no such question or parameter, or a value is of the wrong type.
    """
    question = QUESTIONS.get(name)
    if question is None:
        raise StoreError(f"there is no question {name!r}; there are: {', '.join(QUESTIONS)}")
    values: dict[str, Any] = {
        "since": 0.0 if since is None else float(since),
        "until": END_OF_TIME if until is None else float(until),
        "limit": int(limit),
    }
    for each, parameter in question.parameters.items():
        values[each] = _value(question, each, parameters.get(each, parameter.default))
    unknown = sorted(set(parameters) - set(question.parameters))
    if unknown:
        known = ", ".join(question.parameters) or "none"
        raise StoreError(f"{name} has no parameter {unknown[0]!r}; it has: {known}")
    return question, values


def _value(question: Question, name: str, given: Any) -> Any:
    parameter = question.parameters[name]
    if given is None:
        raise StoreError(f"{question.name} needs {name}: {parameter.meaning}")
    try:
        value = parameter.type(given)
    except (TypeError, ValueError):
        value = None
    # A step of 0 would divide by zero.
    if value is None or (name == "step" and not 0 < value < END_OF_TIME):
        raise StoreError(f"{name} cannot be {given!r}: {parameter.meaning}")
    return value
