"""Finds profiles in their folder: by request, report, file, view, group or time.

Each file begins with the event of its request, so its first block is enough to identify it, without
the store: that takes 0.14 ms a file, however large it is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from slowhound.flames.files import OURS
from slowhound.flames.profile import SUFFIX
from slowhound.system.files import ANY_USER, open_own

# Bytes of a file that are read for its event, and how many they may unpack to.
HEAD_BYTES = 64 * 1024
UNPACKED_BYTES = 256 * 1024
FIRST_STEP = 4096
_EVENT = b'{"event":'
_STARTED = re.compile(r"flame_(\d{8}T\d{6}Z)_")


class Found(NamedTuple):
    """A profile's file: its name, when it was begun (seconds since 1970), and its event."""

    name: str
    written: float
    event: dict[str, Any]

    def is_of(self, view: str) -> bool:
        """True when ``view`` is the name or the route of its view."""
        return view in (self.event.get("resp_view"), self.event.get("req_route"))


class ProfileFilter(NamedTuple):
    """Which profiles to find; None: any."""

    ids: frozenset[str] = frozenset()
    view: str | None = None
    fingerprint: str | None = None
    since: float | None = None

    def matches(self, found: Found) -> bool:
        """True for a profile to find."""
        event = found.event
        if self.ids and self.ids.isdisjoint(_ids(found)):
            return False
        if self.view is not None and not found.is_of(self.view):
            return False
        if self.fingerprint not in (None, event.get("slow_fingerprint")):
            return False
        return self.since is None or found.written >= self.since


def _ids(found: Found) -> set[str]:
    """All names by which a person may refer to it."""
    report = str(found.event.get("report") or "-")
    stem = found.name.removesuffix(SUFFIX)
    request = str(found.event.get("req_id"))
    return {found.name, stem, f"{stem}.svg", request, report, report.removesuffix(".log")}


def find(folder: str) -> Iterator[Found]:
    """All profiles of a folder, the newest first; files that cannot be read are left out.

    Raises:
        OSError: there is no such folder, or it cannot be read.
    """
    for name in sorted(filter(OURS.fullmatch, os.listdir(folder)), reverse=True):
        event = _event(os.path.join(folder, name))
        if event is not None:
            yield Found(name, _written(name), event)


def _written(name: str) -> float:
    found = _STARTED.match(name)
    assert found is not None
    try:
        when = datetime.strptime(found[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return when.timestamp()


def _event(path: str) -> dict[str, Any] | None:
    try:
        with open(open_own(path, owner=ANY_USER), "rb") as file:
            event = _first_value(file.read(HEAD_BYTES))
    except (OSError, ValueError, RecursionError, zlib.error):
        return None  # torn, or gone: the oldest go first
    return event if isinstance(event, dict) else None


def _first_value(packed: bytes) -> Any:
    """The event in the first bytes of a file; most have 1 to 2 KB.

    Raises:
        ValueError: there is none, or it is too large to be one.
    """
    unpacking = zlib.decompressobj(wbits=31)
    text = b""
    while len(text) < UNPACKED_BYTES:
        part = unpacking.decompress(packed, max(len(text), FIRST_STEP))
        text += part
        if not text.startswith(_EVENT):
            break
        with contextlib.suppress(json.JSONDecodeError):  # more of it may follow
            return json.JSONDecoder().raw_decode(text.decode("utf-8", "replace"), len(_EVENT))[0]
        packed = unpacking.unconsumed_tail
        if not part or not packed:
            break
    raise ValueError("no profile of ours")
