"""Decides who begins a record, for what, and who ends it: one rule for every server.

========== ============================== ================================= =====================
who        finds as the current record    does                              ends it
========== ============================== ================================= =====================
hook       anything                       begins one                        its ``post_request``
wrap       the hook's, of no scope yet    takes it for its scope            the hook
wrap       one of the same exchange       lets the call pass                who began it
wrap       anything else, or none         begins one                        its own ``finally``
middleware one that has this request      lets it pass, or, when its        who began it
           or its exchange                response has left, takes it again
middleware a server's without request,    takes it for its request          who began it
           of the same exchange
middleware a request or task in progress  begins an inner one               itself, as it hands
                                                                            its response on
middleware anything else, or none         begins one                        its response's close
task       anything                       begins one                        its own end
========== ============================== ================================= =====================

"Anything else" is what a server left in the context in which it starts the next request of a
connection (uvicorn, daphne), and an application that calls itself in process: only the code that
began such a record ends it or writes into it. An exchange is one request and its response. ASGI's
scope and WSGI's environ are copied on their way, also by an application that requests another page
of itself: an exchange is known by what copies share, and by what it requests, see ``exchanges``.

The caller of an inner request may keep the response and never close it, so an inner request is over
when the middleware returns its response. If it streams, it ends when the body is closed or at its
end, and at the latest with the outer request.
"""

from __future__ import annotations

from asyncio import _get_running_loop, current_task
from types import GeneratorType
from typing import Any

from slowhound.core import exchanges
from slowhound.core.in_flight import current, current_record, in_flight, unfinished
from slowhound.core.record import Owner, Record
from slowhound.runtime.attributes import attribute_or


def enter(record: Record) -> None:
    """Makes a new record the current one, and one in flight."""
    record.begun = True
    outer = current()
    if outer is not None and _is_around(outer):
        record.outer = outer
        record.is_inner = record.owner is Owner.MIDDLEWARE
    current_record.set(record)
    in_flight[record.number] = record


def leave(record: Record) -> None:
    """The record has ended: the one around it is current again. A second call does nothing."""
    in_flight.pop(record.number, None)
    record.done = True
    # Nothing that has ended is kept: the requests of one connection would keep each other.
    outer = record.outer = unfinished(record.outer)
    if current_record.get() is record:
        current_record.set(outer)
    if outer is not None and outer.streams:
        outer.streams.pop(record.number, None)


def step_out(record: Record) -> None:
    """Makes the request around it the current one, which now has the response.

    For an inner request that streams: the code that makes the body belongs to its caller.
    """
    outer = unfinished(record.outer)
    if outer is not None:
        if outer.streams is None:
            outer.streams = {}
        outer.streams[record.number] = record
    if current_record.get() is record:
        current_record.set(outer)


def lost(by: Owner) -> Record | None:
    """The request that ``by`` has begun before in this thread and could not end.

    An exception kept it from that: one raised from outside into the hook, or by another receiver of
    the signal that a response sends when it is closed. A thread serves one request after the other;
    what the middleware has begun may only be around this one while its response is not closed.
    """
    record = current()
    if record is None or record.owner is not by or not (record.task is record.greenlet is None):
        return None
    return record if by is Owner.HOOK or (record.left and is_closed(record)) else None


def is_closed(record: Record) -> bool:
    """True when the response that its middleware has returned is closed."""
    response = record.response() if record.response is not None else None
    return response is not None and attribute_or(response, "closed") is True


def _is_around(outer: Record) -> bool:
    """False for the request before, in whose context a server begins this one.

    uvicorn and daphne begin its task there; waitress goes on in the thread while another thread
    sends the file of the one before.
    """
    if not (outer.complete or outer.left):
        return True
    if is_making_body(outer):
        return True
    if outer.owner is Owner.MIDDLEWARE:
        return False
    loop = _get_running_loop()
    if loop is None:  # a thread that works after the last byte begins no other request meanwhile
        return True
    task = outer.task() if outer.task is not None else None
    return task is not None and task is current_task(loop)


def is_making_body(record: Record) -> bool:
    """True while the application makes the next part of the response's body."""
    body = record.body() if record.body is not None else None
    return body is not None and (
        body.gi_running if type(body) is GeneratorType else body.ag_running
    )


def of_scope(scope: Any) -> Record | None:
    """The record that ASGI's scope belongs to; None: ``wrap`` begins one."""
    record = current()
    if record is None or not record.by_server:
        return None
    if record.scope is None:
        untaken = record.owner is Owner.HOOK and record.request is None
        return record if untaken and exchanges.is_on_the_wire(record.wire, scope) else None
    if record.request is None:
        return record if exchanges.is_passed_on(record.scope, scope) else None
    if not exchanges.shares_headers(record.scope, scope):
        return None
    again = record.left and not is_making_body(record)
    return record if again or exchanges.asks_alike(record.scope, scope) else None


def of_request(request: Any) -> Record | None:
    """The record that Django's request belongs to; None: the middleware begins one."""
    record = current()
    if record is None or record.owner is Owner.TASK:
        return None
    if record.request is request:
        return record
    if record.request is None:
        return record if _may_be_of(record, request) else None
    same = exchanges.is_same(record.request, request)
    if not (same or exchanges.has_headers_of(request, record.scope)):
        return None
    if record.left:  # the view runs again, or the body is made of other pages
        return None if is_making_body(record) else record
    return record if exchanges.requests_alike(record.request, request) else None


def _may_be_of(record: Record, request: Any) -> bool:
    """False for a request that was made in process before Django got the server's own."""
    scope, environ = getattr(request, "scope", None), getattr(request, "environ", None)
    if record.scope is not None:
        if scope is not None:
            return exchanges.is_passed_on(record.scope, scope)
        return environ is None or exchanges.is_bridged(record.scope, request)
    if environ is not None:
        # Only the server's own environ has this key.
        return record.mark is None or record.mark in environ
    return scope is None or exchanges.is_on_the_wire(record.wire, scope)
