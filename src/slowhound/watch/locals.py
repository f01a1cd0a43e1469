"""Local variables for a report: masked, cut, and without running the application's code.

A ``__repr__`` may query the database, take a lock or block, and the report is written by another
thread. So only built-in values are shown as they are; of anything else, the class (and a model's
primary key) is.
"""

from __future__ import annotations

import functools
import reprlib
from types import FrameType
from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from slowhound.frames import is_app
from slowhound.redact import MASK, SECRET_NAMES, is_secret, query_string

PLAIN = (str, bytes, bytearray, int, float, complex, bool, type(None))
MAX_FRAMES = 50
MAX_NAMES = 50


class _Filter(SafeExceptionReporterFilter):
    """Django's filter, active whatever DEBUG says, and for more names."""

    hidden_settings = SECRET_NAMES
    cleansed_substitute = MASK

    def is_active(self, request: Any) -> bool:
        return True

    def cleanse_special_types(self, request: Any, value: Any) -> Any:
        # Django asks isinstance() here, which a lazy object answers by evaluating itself: a query
        # in our thread. What it looks for (requests, their data) is never shown as it is.
        return value


_filter = _Filter()


class _Repr(reprlib.Repr):
    """Bounded ``repr`` that shows built-in values only."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 200
        self.maxlevel = 4
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 10

    def repr1(self, x: Any, level: int) -> str:
        kind = type(x)
        if kind is dict:
            return self.repr_dict(_masked(x), level)
        if kind in (list, tuple, set, frozenset) or kind in PLAIN:
            if kind in (str, bytes, bytearray):
                x = x[: self.maxstring * 2]  # a 100 MB value must not be copied to be cut
            return str(super().repr1(x, level))
        return _described(x)


_repr = _Repr()


def _masked(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: _masked_value(key, each) for key, each in list(value.items())}


def _masked_value(key: Any, value: Any) -> Any:
    if type(key) is not str:
        return value
    if is_secret(key):
        return MASK
    # WSGI's environ: the query string may carry a token.
    if key in ("QUERY_STRING", "RAW_URI", "REQUEST_URI") and type(value) is str:
        path, mark, query = value.rpartition("?")
        return path + mark + query_string(query)
    return value


@functools.lru_cache(maxsize=1)
def _model_class() -> type:
    from django.db.models import Model

    return Model


def _described(value: Any) -> str:
    kind = type(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if issubclass(kind, _model_class()):  # isinstance() would evaluate a lazy object
        key = value.__dict__.get(kind._meta.pk.attname)  # type: ignore[attr-defined]
        return f"<{name} pk={key!r}>" if type(key) in PLAIN else f"<{name}>"
    return f"<{name} object>"


def locals_of(frame: FrameType, request: Any) -> list[tuple[str, list[tuple[str, str]]]]:
    """``(function, [(name, shown value)])`` of the application's own frames, outermost first.

    Those of libraries hold what must never be shown: SQL parameters, the raw request.
    """
    frames: list[FrameType] = []
    each: FrameType | None = frame
    while each is not None and len(frames) < MAX_FRAMES:
        if is_app(each.f_code.co_filename):
            frames.append(each)
        each = each.f_back
    return [(each.f_code.co_name, _shown(each, request)) for each in reversed(frames)]


def _shown(frame: FrameType, request: Any) -> list[tuple[str, str]]:
    # Django's filter looks for sensitive_variables() in the calling frames and masks those names.
    cleansed = _filter.get_traceback_frame_variables(request, frame)
    shown = []
    for name, value in list(cleansed)[:MAX_NAMES]:
        hidden = is_secret(name) or (type(value) is str and value == MASK)
        shown.append((name, MASK if hidden else _repr.repr(value)))
    return shown
