"""Who begins a record, for what, and who ends it: the one rule, for every server.

========== ============================== ================================= =====================
who        finds as the current record    does                              ends it
========== ============================== ================================= =====================
hook       anything                       begins one                        its ``post_request``
wrap       the hook's, of no scope yet    takes it for its scope            the hook
wrap       one of the same exchange       lets the call pass                who began it
wrap       anything else, or none         begins one                        its own ``finally``
middleware one that has this request      lets it pass, or, when its        who began it
                                          response has left, takes it anew
middleware one of the same exchange,      takes it for its request          who began it
           or a server's without request
middleware anything else, or none         begins one                        its response's close
task       anything                       begins one                        its own end
========== ============================== ================================= =====================

"Anything else" are an application that calls itself in process, and what a server left in the
context in which it starts the next request of a connection (uvicorn, daphne): neither is ended, nor
written into, by another than who began it. An exchange is one request and its response; ASGI's
scope and WSGI's environ may be copied on their way, so it is known by what copies share.
"""

from __future__ import annotations

from asyncio import _get_running_loop, current_task
from typing import Any
from urllib.parse import unquote

from slowhound.record import Owner, Record, current, current_record, in_flight, unfinished


def enter(record: Record) -> None:
    """Makes a new record the current one, and one in flight."""
    outer = current()
    if outer is not None and _is_around(outer):
        record.outer = outer
    current_record.set(record)
    in_flight[record.number] = record


def leave(record: Record) -> None:
    """It has ended: what it was begun in is the current one again. A second time does nothing."""
    in_flight.pop(record.number, None)
    record.done = True
    # Of what has ended nothing is kept: the requests of one connection would hang on each other.
    record.outer = unfinished(record.outer)
    if current_record.get() is record:
        current_record.set(record.outer)


def _is_around(outer: Record) -> bool:
    """False for the request before, in whose context a server has begun this one's task."""
    if not outer.complete:
        return True
    loop = _get_running_loop()
    task = outer.task() if outer.task is not None else None
    return task is not None and loop is not None and task is current_task(loop)


def of_scope(scope: Any) -> Record | None:
    """The record that ASGI's scope belongs to; None: ``wrap`` begins one."""
    record = current()
    if record is None or not record.by_server:
        return None
    if record.scope is None:
        untaken = record.owner is Owner.HOOK and record.request is None
        return record if untaken and _is_on_the_wire(record, scope) else None
    return record if _is_same_scope(record.scope, scope) else None


def _is_on_the_wire(record: Record, scope: Any) -> bool:
    """True when the scope is of the request that the hook has seen, and not made in process."""
    if scope["type"] == "websocket" or record.wire is None:
        return True
    method, path = record.wire
    raw = scope.get("raw_path")
    same = type(raw) is bytes and raw.decode("latin-1") == path
    return scope.get("method") == method and (same or scope.get("path") in (path, unquote(path)))


def of_request(request: Any) -> Record | None:
    """The record that Django's request belongs to; None: the middleware begins one."""
    record = current()
    if record is None or record.owner is Owner.TASK:
        return None
    if record.request is None:
        return record if _may_be_of(record, request) else None
    return record if record.request is request or _is_same(record.request, request) else None


def _may_be_of(record: Record, request: Any) -> bool:
    """False for a request that was made in process before the server's own came to Django."""
    scope, environ = getattr(request, "scope", None), getattr(request, "environ", None)
    if record.owner is Owner.HOOK and record.scope is None:
        # The server's own environ has a key that no other has; a scope says not where it is from.
        return environ is None or record.mark is None or record.mark in environ
    if scope is None or record.scope is None:
        return True
    return _is_same_scope(record.scope, scope) or all(
        record.scope.get(name) == scope.get(name) for name in ("method", "path")
    )


def _is_same_scope(one: Any, other: Any) -> bool:
    """True when both are of one exchange: a copy has the same list of headers."""
    return one is other or one.get("headers") is other.get("headers")


def _is_same(one: Any, other: Any) -> bool:
    """The same of two requests of Django's."""
    scope, another = getattr(one, "scope", None), getattr(other, "scope", None)
    if scope is not None and another is not None:
        return _is_same_scope(scope, another)
    first, second = (getattr(each, "environ", None) or {} for each in (one, other))
    return "wsgi.input" in first and first["wsgi.input"] is second.get("wsgi.input")
