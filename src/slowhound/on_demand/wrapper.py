"""Wraps ``get_response`` for a request whose client asks for a flame graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from slowhound.config.config import Config
from slowhound.core.record import Record
from slowhound.on_demand.permission import GRAPH_HEADER, PARAMETER, graph_request, is_allowed
from slowhound.on_demand.profiled_request import ProfiledRequest
from slowhound.system.guard import guard

GetResponse = Callable[[HttpRequest], HttpResponseBase]
GetResponseAsync = Callable[[HttpRequest], Awaitable[Any]]

_guard = guard("flames on demand")


def may_ask(meta: Mapping[str, Any]) -> bool:
    """True when a request may ask for a graph: the only cost for all other requests."""
    query = meta.get("QUERY_STRING")
    return (type(query) is str and PARAMETER in query) or GRAPH_HEADER in meta


def wrap(get_response: GetResponse, record: Record, config: Config) -> GetResponse:
    """``get_response``, which profiles the request if its client is allowed to ask."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        profiled = begin(record, request, config)
        response = get_response(request)
        if profiled is not None and profiled.is_allowed(request):
            return profiled.respond(response)
        return response

    return respond


def wrap_async(get_response: GetResponseAsync, record: Record, config: Config) -> GetResponseAsync:
    """The same for a ``get_response`` that is awaited."""

    async def respond(request: HttpRequest) -> Any:
        profiled = begin(record, request, config)
        response = await get_response(request)
        if profiled is not None and await profiled.is_allowed_async(request):
            return await profiled.respond_async(response)
        return response

    return respond


def begin(record: Record, request: HttpRequest, config: Config) -> ProfiledRequest | None:
    """Starts to profile a request that asks for a graph, and whose client is allowed or may be.

    A request that is refused because another one is being profiled is one as well: its response
    has a header for that.
    """
    with _guard:
        asked_for = graph_request(request.META)
        if asked_for is None:
            return None
        allowed = is_allowed(request, asked_for.tokens, config.flames_allow)
        if allowed is False:
            return None
        profiled = ProfiledRequest(record, asked_for, config, sure=bool(allowed))
        profiled.start()
        return profiled
    return None
