"""Picks the request headers that are kept in the black box."""

from __future__ import annotations

from typing import Any

_KEPT_HEADERS = {
    "REFERER": "HTTP_REFERER",
    "REFERRER": "HTTP_REFERRER",
    "USER-AGENT": "HTTP_USER_AGENT",
    "TRACEPARENT": "HTTP_TRACEPARENT",
}


def headers(req: Any) -> dict[str, str]:
    """The headers that the box keeps, by their names in ``environ``, which does not exist yet."""
    return {_KEPT_HEADERS[name]: value for name, value in req.headers if name in _KEPT_HEADERS}
