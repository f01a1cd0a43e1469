"""Who is allowed to ask for a flame graph: ``FLAMES["ALLOW"]``, and signed tokens.

A token is the JSON list ``[path, expires]``, signed with ``SECRET_KEY`` under its own salt, so that
no other signed value of the application is accepted as one. It is valid for the path and for all
paths below it, until ``expires`` (seconds since 1970).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from django.conf import settings
from django.core import signing
from django.http import HttpRequest
from django.utils.module_loading import import_string

from slowhound.config.rules import ALLOWED
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import Errors, caught

INVALID_TOKEN: Errors = (*caught("django.core.signing.BadSignature"), ValueError, TypeError)
USER_NOT_READY: Errors = (
    *caught("django.core.exceptions.SynchronousOnlyOperation"),
    AttributeError,
)
PARAMETER = "flames"
GRAPH_HEADER = "HTTP_SLOWHOUND_FLAMES"
SALT = "slowhound.flames"
# Seconds. For longer than a week, use a setting.
LONGEST_LIFETIME = 7 * 86400
# A token has about 100 characters more than its path.
LONGEST_TOKEN = 2000
MOST_WORDS = 8


class GraphRequest(NamedTuple):
    """What a request asks for: the graph instead of the response or not, and its tokens."""

    instead: bool
    tokens: tuple[str, ...]


def graph_request(meta: Mapping[str, Any]) -> GraphRequest | None:
    """What ``?flames=...`` and the header ask for; None where there is neither.

    Words are separated by commas: ``svg``, ``1``, or a token.
    """
    values: list[str] = []
    for part in as_text(meta.get("QUERY_STRING", "")).split("&"):
        name, _, value = part.partition("=")
        if name == PARAMETER:
            values.append(unquote_plus(value))
    if GRAPH_HEADER in meta:
        values.append(as_text(meta[GRAPH_HEADER]))
    if not values:
        return None
    words = [word.strip() for word in ",".join(values).split(",", MOST_WORDS)[:MOST_WORDS]]
    tokens = tuple(word for word in words if word not in ("", "1", "svg"))
    return GraphRequest("svg" in words, tokens)


def new_token(path: str, seconds: float) -> str:
    """A token for ``path`` and all paths below it.

    Raises:
        ValueError: the path cannot have a token, or ``seconds`` is too long.
    """
    if not path.startswith("/") or not _is_plain(path) or "?" in path or "#" in path:
        raise ValueError(f"{path!r} is no path like /shop/orders")
    if not 0 < seconds <= LONGEST_LIFETIME:
        raise ValueError(f"a token is good for {LONGEST_LIFETIME} seconds at most")
    return signing.dumps([path.rstrip("/"), int(clock.time() + seconds)], salt=SALT)


def is_valid(token: str, path: str) -> bool:
    """True when ``token`` is ours, has not expired, and is for ``path``, which is decoded."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return False
    try:
        scope, expires = signing.loads(token, salt=SALT)
        return clock.time() < expires and _within(path, scope)
    except INVALID_TOKEN:
        return False


def _within(path: str, scope: str) -> bool:
    # "/shop" does not include "/shopping". Nor is a path below it that something behind us, a
    # static view or the next proxy, may resolve to another one.
    return not scope or ((path == scope or path.startswith(f"{scope}/")) and _is_plain(path))


def _is_plain(path: str) -> bool:
    """False for a path with ``..``, ``//``, backslashes, or anything that is still encoded."""
    inner = path.strip("/").split("/") if path != "/" else []
    return (
        not path.startswith("//")
        and not path.endswith("//")
        and not any(part in ("", ".", "..") for part in inner)
        and not any(each in path for each in "%\\;")
        and path.isprintable()
    )


def is_allowed(request: HttpRequest, tokens: Sequence[str], allow: Sequence[str]) -> bool | None:
    """Whether this request may be profiled; None: depends on its user, see ``is_user_allowed``."""
    if not allow:
        return False
    if settings.DEBUG:
        return True
    if "token" in allow and any(is_valid(each, request.path) for each in tokens):
        return True
    depends_on_user = "staff" in allow
    for result in _rule_results(request, allow):
        if result:
            return True
        depends_on_user = depends_on_user or result is None
    # Without a session there is no user to wait for, and nothing is sampled.
    return None if depends_on_user and settings.SESSION_COOKIE_NAME in request.COOKIES else False


def is_user_allowed(request: HttpRequest, allow: Sequence[str]) -> bool:
    """The same after the view, where it depends on the user."""
    if "staff" in allow:
        user: Any = getattr(request, "user", None)
        if user is not None and user.is_active and user.is_staff:
            return True
    return any(_rule_results(request, allow))


def _rule_results(request: HttpRequest, allow: Sequence[str]) -> list[bool | None]:
    return [_call_rule(path, request) for path in allow if path not in ALLOWED]


def _call_rule(path: str, request: HttpRequest) -> bool | None:
    """The result of a callable that the settings name; None: not known before the view."""
    try:
        result = import_string(path)(request)
    except USER_NOT_READY:
        # It reads request.user, which the application's own middleware has not set yet, or which
        # must not be read in an event loop.
        return None
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError(f"{path} of FLAMES['ALLOW'] must not be a coroutine function")
    return bool(result)
