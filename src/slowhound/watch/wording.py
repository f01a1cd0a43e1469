"""Writes the text of a report about a record and about the other requests in flight."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slowhound.core.record import Record
from slowhound.core.report_text import locals_text, verdict_text
from slowhound.event.formats import one_line
from slowhound.frames.frames import Stack
from slowhound.redaction import masking
from slowhound.redaction.masking import HEADER_LIMIT, client_text
from slowhound.redaction.urls import query_string

if TYPE_CHECKING:
    from slowhound.core.observations import Snapshot


SHOWN_OTHERS = 50


_HOST = re.compile(r"[\w.-]{1,253}(?::[0-9]{1,5})?")


def path_of(record: Record) -> str:
    """The path of another request, once it is known which parts of it are secret."""
    if record.kind == "request" and not record.is_resolved:
        return "(its URL is not resolved yet)"
    return one_line(record.path)


def describe_others(record: Record, records: list[Record], now: float) -> list[str]:
    """One line for each other request, oldest first, then websockets; bounded.

    Which parts of a URL are secret is known when it is resolved; until then it is not shown.
    """
    rest = [each for each in records if each is not record]
    rest.sort(key=lambda each: (each.yields, each.started))
    rows = [
        f"  {each.age(now):9.3f} s  {one_line(each.method)} {path_of(each)}"
        f"  {one_line(each.view or '-')}  {each.id}"
        for each in rest[:SHOWN_OTHERS]
    ]
    if len(rest) > SHOWN_OTHERS:
        rows.append(f"  ({len(rest) - SHOWN_OTHERS} more are not shown)")
    return rows


def later_text(snapshot: Snapshot, before: Stack, verdict: str) -> str:
    """What a later snapshot adds to the file; a stack that has not moved is not repeated."""
    still = snapshot.stack == before
    stack = "  The stack is the same." if still else snapshot.text()
    parts = [f"\nStill running after {snapshot.age:.3f} s:", stack]
    if verdict:
        parts.append("Verdict by now:\n" + verdict_text(verdict))
    if snapshot.variables is not None:
        parts.append(locals_text(snapshot.variables))
    return "\n\n".join(parts) + "\n"


def end_text(record: Record, verdict: str) -> str:
    """The last lines of the file, once the request has ended."""
    return (
        f"\nVerdict in the end:\n{verdict_text(verdict)}\n"
        f"\nFinished after {record.took:.3f} s: status {record.status or '-'},"
        f" outcome {record.outcome or '-'}.\n"
    )


def request_line(record: Record) -> str:
    """``GET http://host/path?query``, with secret values of the query masked; a task's name."""
    if record.kind == "task":
        return f"{record.method} {record.path}"
    scheme = record.meta("wsgi.url_scheme") or "http"
    host = record.meta("HTTP_HOST") or record.meta("SERVER_NAME") or "-"
    # With the scheme: a client may put a user and a password before the host.
    server = f"{scheme}://{host}"
    # A plain host holds no value: what follows "auth:" is a port.
    is_plain = _HOST.fullmatch(host) is not None
    server = masking.name(server) if is_plain else client_text(server, HEADER_LIMIT)
    query = record.meta("QUERY_STRING")
    shown = f"?{query_string(query)}" if query else ""
    return f"{record.method} {server}{record.path}{shown}"


def held_text(seconds: float) -> str:
    """Of a request without a stack, whose thread has held the GIL, as it seems."""
    return f"The GIL was held for about {seconds:.1f} s, most likely by this thread."
