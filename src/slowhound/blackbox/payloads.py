"""What a black box holds, read back.

A payload is JSON that fits its area. Any bytes may be in its place, and it may be of another
version of slowhound: reading never raises. What is read has the types and bounds of the structs
here; what does not fit is left out, and no other value with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from slowhound.redaction.masking import HEADER_LIMIT
from slowhound.redaction.urls import client_url
from slowhound.runtime.library_names import NOT_JSON

# No request is ten years old, and no threshold is: what says so is noise, and no date can be made
# of some of it.
LONGEST_DURATION = 10 * 365 * 86400.0
Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST_DURATION)]
Moment = Annotated[float, msgspec.Meta(ge=0, le=1e10)]  # monotonic: since the machine was started
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Path = Annotated[str, msgspec.Meta(max_length=4096, pattern=r"\A[^\0]+\Z")]
Trace = tuple[Text, Text]


class Settings(msgspec.Struct):
    """How a process writes its events; None and empty: not known."""

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
    """A request; or a task, which has ``task``, be it None. ``started``: monotonic seconds."""

    id: Text | None = None
    method: Text | None = None
    path: Text | None = None
    started: Moment | None = None
    referrer: Text | None = None
    user_agent: Text | None = None
    trace: Trace | None = None
    task: Text | msgspec.UnsetType | None = msgspec.UNSET
    slow_after: Seconds | None = None


class Last(msgspec.Struct):
    """A request's last stack, ``taken`` at this time (monotonic), and what else was known then.

    ``by`` says who took it, as ``slow_stack_by``.
    """

    taken: Moment | None = None
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
    """What the event of a dead process says of who it was; ``last`` is the last stack's note."""
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


Note = TypeVar("Note", bound=msgspec.Struct)


class _Reader(Generic[Note]):
    """Reads notes of one kind."""

    def __init__(self, kind: type[Note]) -> None:
        self._kind = kind
        self._whole = msgspec.json.Decoder(kind).decode
        hints = get_type_hints(kind, include_extras=True)
        self._fields = {name: _decoder(hint) for name, hint in hints.items()}

    def read(self, note: bytes) -> Note:
        """What of the note fits."""
        try:
            return self._whole(note)
        except NOT_JSON:
            return self._kind(**self._parts(note))

    def _parts(self, note: bytes) -> dict[str, Any]:
        found = {}
        try:
            parts = _parts(note)
        except NOT_JSON:
            return {}
        for name, decode in self._fields.items():
            if name in parts:
                with contextlib.suppress(*NOT_JSON):
                    found[name] = decode(parts[name])
        return found


def _decoder(hint: Any) -> Callable[[bytes], Any]:
    """Of one value; of a list each member that fits."""
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


# Made here, for they compile the annotations of what they decode: not on the thread that reads.
_settings, _who, _last = _Reader(Settings), _Reader(Who), _Reader(Last)


def read_settings(note: bytes) -> Settings:
    """How the process of a box writes its events."""
    return _settings.read(note)


def read_who(note: bytes) -> Who:
    """Who a request is."""
    return _who.read(note)


def read_last(note: bytes) -> Last:
    """A request's last stack."""
    return _last.read(note)


def seconds_since(start: float | None, now: float) -> float | None:
    """Seconds since a moment that somebody wrote; None when it is none, or has not come yet.

    After a reboot the monotonic clock begins anew, and what was before has not come yet.
    """
    return now - start if start is not None and now - LONGEST_DURATION <= start <= now else None
