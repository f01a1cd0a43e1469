"""Compares requests: whether two of them belong to the same exchange.

An exchange is one request and its response. A middleware passes on a copy of ASGI's scope, with
other headers or without a prefix of its path; an application that requests another page of itself,
with what its own request had, copies it as well. The first is the same exchange, the second is not.
A request that no view has yet is compared loosely (``is_passed_on``), one that a view works on by
what it requests.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote


def shares_headers(one: Any, other: Any) -> bool:
    """True when both scopes are, or may be, copies: a copy has the same list of headers."""
    return one is other or one.get("headers") is other.get("headers")


def is_same(one: Any, other: Any) -> bool:
    """True when two requests of Django's are, or may be, copies."""
    scope, another = getattr(one, "scope", None), getattr(other, "scope", None)
    if scope is not None and another is not None:
        return shares_headers(scope, another)
    first, second = (getattr(each, "environ", None) or {} for each in (one, other))
    return "wsgi.input" in first and first["wsgi.input"] is second.get("wsgi.input")


def has_headers_of(request: Any, scope: Any) -> bool:
    """True when Django's request has all of the scope's headers, as middleware has added some."""
    own = getattr(request, "scope", None)
    return scope is not None and own is not None and _has_all(own, scope)


def requests_alike(one: Any, other: Any) -> bool:
    """True when two requests of Django's request the same."""
    return _requested(one) == _requested(other)


def _requested(request: Any) -> tuple[str, str, str]:
    query = request.META.get("QUERY_STRING") if type(request.META) is dict else None
    return _text(request.method), _text(request.path), _text(query)


def asks_alike(one: Any, other: Any) -> bool:
    """True when two scopes request the same: a mounted application's path may lack its prefix."""
    same = _kind(one) == _kind(other) and _query(one) == _query(other)
    return same and not _paths(one).isdisjoint(_paths(other))


def is_passed_on(outer: Any, scope: Any) -> bool:
    """True when ``scope`` may be what middleware has made of ``outer``."""
    if outer is scope or asks_alike(outer, scope):
        return True
    if _text(outer.get("type")) != _text(scope.get("type")):
        return False
    if not (shares_headers(outer, scope) or _has_all(scope, outer)):
        return False
    # A prefix less or more, another method, or another address altogether. Only a request that a
    # view of Starlette's makes with its own headers is another one: its scope has an endpoint.
    pairs = [(one, other) for one in _paths(outer) for other in _paths(scope)]
    fits = any(_ends_with(one, other) or _ends_with(other, one) for one, other in pairs)
    return fits or "endpoint" not in scope


def is_bridged(scope: Any, request: Any) -> bool:
    """True when Django's request may be what a bridge from ASGI to WSGI has made of the scope."""
    if scope.get("type") != "http" or _text(request.method) != _text(scope.get("method")):
        return False
    return _text(request.path) in _paths(scope)


def is_on_the_wire(wire: tuple[str, str] | None, scope: Any) -> bool:
    """True for the scope of the request that the hook has seen, and not of one made in process."""
    if scope["type"] == "websocket" or wire is None:
        return True
    method, path = wire
    raw = scope.get("raw_path")
    same = type(raw) is bytes and raw.decode("latin-1") == path
    return scope.get("method") == method and (same or bool({path, unquote(path)} & _paths(scope)))


def _kind(scope: Any) -> tuple[Any, Any]:
    return _text(scope.get("type")), _text(scope.get("method"))


def _query(scope: Any) -> bytes:
    query = scope.get("query_string")
    return query if type(query) is bytes else b""


def _paths(scope: Any) -> set[str]:
    """Its path with and without the prefix under which it is mounted: servers differ."""
    path = _text(scope.get("path"))
    return {path, _text(scope.get("root_path")) + path}


def _ends_with(whole: str, part: str) -> bool:
    """True also without a prefix, with one more slash, or in lower case."""
    return whole.rstrip("/").casefold().endswith(part.rstrip("/").casefold())


def _has_all(scope: Any, outer: Any) -> bool:
    """True when all headers of ``outer`` are there; only of lists, which were not read up."""
    have, had = scope.get("headers"), outer.get("headers")
    if type(have) is not list or type(had) is not list or not had:
        return False
    return all(any(one is other for other in have) for one in had)


def _text(value: Any) -> str:
    return value if type(value) is str else ""
