"""Reads the JSON payloads of a black box into structs with types and bounds.

A payload is JSON that fits its area. Any bytes may be in its place, and it may come from another
version of slowhound: reading never raises. A value that does not fit its type and bounds is left
out, and no other value with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from slowhound.redaction.masking import HEADER_LIMIT
from slowhound.redaction.urls import client_url
from slowhound.runtime.library_names import NOT_JSON

# No request and no threshold lasts ten years: such a value is noise, and may be no valid date.
LONGEST_DURATION = 10 * 365 * 86400.0
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_DURATION)]
MonotonicTime = Annotated[float, msgspec.Meta(ge=0, le=1e10)]  # since the machine was started
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Path = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"\A[^\0]+\Z")]
Trace = tuple[Text, Text]


class Settings(msgspec.Struct):
    """How a process writes its events; None and empty mean unknown."""

    format: Text | None = None
    stream: Path | None = None
    dir: Path | None = None
    host: Text | None = None
    service: Text | None = None
    release: Text | None = None
    server: Text | None = None
    python: Text | None = None
    pids: Count | None = None
    deliver: bool = False
    slow_after: Seconds | None = None
    slow_by_name: dict[Text, Seconds] | None = None
    ignore: list[Text] = []
    reports: Path | None = None
    reports_max: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None


class Who(msgspec.Struct):
    """A request, or a task if ``task`` is set, maybe to None. ``started``: monotonic seconds."""

    id: Text | None = None
    method: Text | None = None
    path: Text | None = None
    started: MonotonicTime | None = None
    referrer: Text | None = None
    user_agent: Text | None = None
    trace: Trace | None = None
    task: Text | msgspec.UnsetType | None = msgspec.UNSET
    slow_after: Seconds | None = None


class Last(msgspec.Struct):
    """A request's last stack, ``taken`` at this time (monotonic), and what else was known then.

    ``by`` is what took it, as in ``slow_stack_by``.
    """

    taken: MonotonicTime | None = None
    loc: Text | None = None
    cause: Text | None = None
    db_queries: Count | None = None
    db_time: Seconds | None = None
    referrer: Text | None = None
    user_agent: Text | None = None
    trace: Trace | None = None
    stack: list[Text] = []
    by: Text = "hound"


def who_fields(who: Who, last: Last, view: str | None) -> dict[str, Any]:
    """The fields of an ended process's event that tell which request it was."""
    event: dict[str, Any] = {"req_id": who.id}
    trace = last.trace or who.trace
    if trace is not None:
        event["trace_id"], event["span_id"] = trace
    if who.task is not msgspec.UNSET:
        event["task_kind"], event["task_name"] = who.method, who.path
        if who.task is not None:
            event["task_id"] = who.task
        return event
    referrer = last.referrer or who.referrer
    return {
        **event,
        "req_method": who.method,
        "req_path": who.path,
        "req_referrer": None if referrer is None else client_url(referrer, HEADER_LIMIT),
        "req_user_agent": last.user_agent or who.user_agent,
        "resp_view": view,
    }


Payload = TypeVar("Payload", bound=msgspec.Struct)


class _PayloadReader(Generic[Payload]):
    """Reads payloads of one kind."""

    def __init__(self, kind: type[Payload]) -> None:
        self._kind = kind
        self._whole = msgspec.json.Decoder(kind).decode
        hints = get_type_hints(kind, include_extras=True)
        self._fields = {name: _decoder(hint) for name, hint in hints.items()}

    def read(self, payload: bytes) -> Payload:
        """The values of the payload that fit."""
        try:
            return self._whole(payload)
        except NOT_JSON:
            return self._kind(**self._parts(payload))

    def _parts(self, payload: bytes) -> dict[str, Any]:
        found = {}
        try:
            parts = _parts(payload)
        except NOT_JSON:
            return {}
        for name, decode in self._fields.items():
            if name in parts:
                with contextlib.suppress(*NOT_JSON):
                    found[name] = decode(parts[name])
        return found


def _decoder(hint: Any) -> Callable[[bytes], Any]:
    """Decodes one value; of a list each member that fits."""
    if get_origin(hint) is not list:
        return msgspec.json.Decoder(hint).decode
    member = msgspec.json.Decoder(get_args(hint)[0]).decode

    def members(value: bytes) -> list[Any]:
        found = []
        for each in _members(value):
            with contextlib.suppress(*NOT_JSON):
                found.append(member(each))
        return found

    return members


_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_members = msgspec.json.Decoder(list[msgspec.Raw]).decode


# Made here, because they compile annotations, which the thread that reads must not do.
_settings, _who, _last = _PayloadReader(Settings), _PayloadReader(Who), _PayloadReader(Last)


def read_settings(payload: bytes) -> Settings:
    """How the process of a box writes its events."""
    return _settings.read(payload)


def read_who(payload: bytes) -> Who:
    """Which request it is."""
    return _who.read(payload)


def read_last(payload: bytes) -> Last:
    """A request's last stack."""
    return _last.read(payload)


def seconds_since(start: float | None, now: float) -> float | None:
    """Seconds since a time that was read from a file; None without one, or if it is in the future.

    After a reboot the monotonic clock begins again, and earlier times are in the future.
    """
    return now - start if start is not None and now - LONGEST_DURATION <= start <= now else None
