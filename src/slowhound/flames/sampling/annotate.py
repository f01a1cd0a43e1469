"""Adds Django's work to stacks: statements, templates, cache calls, hosts, middleware, and waits.

None of this is read while the request runs. Its timeline has the begin and the duration of each
call, so the time of a sample shows in which calls it was taken.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

from slowhound.core.observations import Moment, without_literals
from slowhound.flames.profile import Kind, ProfileFrame
from slowhound.runtime.app_files import short_path
from slowhound.runtime.library_names import find_imported, has_all
from slowhound.system.wait_states import ThreadState

LONGEST_LABEL = 500
# Moments inside one another that a sample may fall into: a template in a query in a template ...
MOST_NESTED = 8
_KINDS: dict[str, Kind] = {
    "sql": "sql",
    "cache": "cache",
    "http": "http",
    "template": "template",
}
_HOOKS = ("process_request", "process_response", "process_view", "process_exception")
_OF_MIXIN = (
    "django.utils.deprecation.MiddlewareMixin",
    "django.utils.deprecation.MiddlewareMixin.__acall__",
)
UNNAMED = "a flame graph shows middleware under the name of Django's own class"
_MIXIN = ("MiddlewareMixin.__call__", "MiddlewareMixin.__acall__")


class Annotator:
    """Adds to the stacks of a request what it was doing at that time.

    Args:
        moments: the request's timeline.
        concurrent: several of its calls may run at once, in tasks of one event loop.
    """

    def __init__(self, moments: Sequence[Moment], *, concurrent: bool) -> None:
        self._moments = sorted(moments)
        self._begins = [each.at for each in self._moments]
        # The latest end of this moment and all before it: how far back a search has to go.
        self._latest: list[float] = []
        for each in self._moments:
            end = each.at + each.took
            self._latest.append(max(end, self._latest[-1]) if self._latest else end)
        self._concurrent = concurrent

    def annotate(
        self, stack: Sequence[ProfileFrame], at: float, waiting: ThreadState | None
    ) -> list[ProfileFrame]:
        """``stack`` with the calls ``at`` seconds after the request's start, and the wait."""
        found = _with_middleware(list(stack))
        calls = [_box(each) for each in self._during(at)]
        if calls and found:
            place = _after_app_frames(found)
            found[place:place] = calls
        if waiting is not None:
            found.append(ProfileFrame(f"waiting: {waiting}"[:LONGEST_LABEL], kind="wait"))
        return found

    def _during(self, at: float) -> list[Moment]:
        """The moments that hold this time, outermost first."""
        found: list[Moment] = []
        number = bisect_right(self._begins, at) - 1
        while number >= 0 and self._latest[number] >= at and len(found) < MOST_NESTED:
            each = self._moments[number]
            if each.at + each.took >= at:
                found.append(each)
            number -= 1
        found.reverse()
        if self._concurrent and any(
            inner.at + inner.took > outer.at + outer.took for outer, inner in pairwise(found)
        ):
            return []  # they run side by side, and this stack may be in any of them
        return found


def _box(moment: Moment) -> ProfileFrame:
    text = without_literals(moment).text
    return ProfileFrame(text[:LONGEST_LABEL] or "-", kind=_KINDS.get(moment.kind, "note"))


def _after_app_frames(stack: list[ProfileFrame]) -> int:
    """Index of the first library frame called by the application's innermost frame."""
    for place in range(len(stack) - 1, -1, -1):
        if stack[place].kind == "app":
            return place + 1
    return len(stack)


def _with_middleware(stack: list[ProfileFrame]) -> list[ProfileFrame]:
    """``stack`` with the frames of middleware named by its classes, where the settings list it."""
    named, mixins = _configured()
    turn = 0
    for place, frame in enumerate(stack):
        if frame.name in _MIXIN and frame.file.startswith("django"):
            # The classes that inherit the call from Django's mixin have one frame each, in order.
            if turn < len(mixins):
                method = frame.name.rpartition(".")[2]
                stack[place] = ProfileFrame(
                    f"{mixins[turn]}.{method}", frame.file, frame.line, "middleware"
                )
            turn += 1
            continue
        first, _, rest = frame.name.partition(".")
        if (first, frame.file) in named and (
            rest in ("__call__", "__acall__", *_HOOKS) or rest.startswith("<locals>")
        ):
            stack[place] = ProfileFrame(frame.name, frame.file, frame.line, "middleware")
    return stack


@cache
def _configured() -> tuple[frozenset[tuple[str, str]], tuple[str, ...]]:
    """Names and files of all in MIDDLEWARE; names of those that inherit their call from the mixin.

    Django has imported them. Nothing is imported here, and no module's ``__getattr__`` is called:
    this runs on the hound's thread.
    """
    from django.conf import settings

    has_all(_OF_MIXIN, UNNAMED)
    mixin = find_imported(_OF_MIXIN[0])
    paths = list(settings.MIDDLEWARE) if settings.configured else []
    named, mixins = set(), []
    for path in paths:
        module_name, _, name = path.rpartition(".")
        found = getattr(sys.modules.get(module_name), "__dict__", {}).get(name)
        # The module that defines it, which may not be the one it is imported from.
        home = sys.modules.get(getattr(found, "__module__", None) or "")
        named.add((name, short_path(getattr(home, "__file__", None) or "")))
        is_mixin = isinstance(found, type) and mixin is not None and issubclass(found, mixin)
        if is_mixin and vars(found).get("__call__") is None:
            mixins.append(name)
    return frozenset(named), tuple(mixins)
