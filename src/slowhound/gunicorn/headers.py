"""The headers of a request that a black box shows."""

from __future__ import annotations

from typing import Any

_SHOWN = {
    "REFERER": "HTTP_REFERER",
    "REFERRER": "HTTP_REFERRER",
    "USER-AGENT": "HTTP_USER_AGENT",
    "TRACEPARENT": "HTTP_TRACEPARENT",
}


def headers(req: Any) -> dict[str, str]:
    """The headers that the box shows, in the words of environ, which does not exist yet."""
    return {_SHOWN[name]: value for name, value in req.headers if name in _SHOWN}
