"""``get_stack_loc_context``: where in the application a stack is."""

from __future__ import annotations

from traceback import StackSummary

from slowhound.frames.frames import Frame, locate


def get_stack_loc_context(stack_summary: StackSummary) -> dict[str, str | None]:
    """``loc`` and ``cause_loc`` of a stack, see ``slowhound.frames.frames.locate``."""
    stack = tuple(Frame(each.filename, each.lineno or 0, each.name) for each in stack_summary)
    loc, cause_loc = locate(stack)
    return {"loc": loc, "cause_loc": cause_loc}
