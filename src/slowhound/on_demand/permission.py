"""Who may have a flame graph of a request: ``FLAMES["ALLOW"]``, and signed tokens.

A token is the JSON list ``[path, expires]``, signed with ``SECRET_KEY`` under a salt of its own, so
that nothing else that the application signs passes for one. It is good for the path and what lies
below it, until ``expires`` (seconds since 1970).
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

from slowhound.config.settings import ALLOWED
from slowhound.redaction.plain_data import as_text
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import Errors, caught

NOT_OURS: Errors = (*caught("django.core.signing.BadSignature"), ValueError, TypeError)
NOT_YET: Errors = (*caught("django.core.exceptions.SynchronousOnlyOperation"), AttributeError)
PARAMETER = "flames"
HEADER = "HTTP_SLOWHOUND_FLAMES"
SALT = "slowhound.flames"
# A week: who needs more has a setting for it.
LONGEST = 7 * 86400
# Ours have about 100 characters, and as many as the path.
LONGEST_TOKEN = 2000
MOST_WORDS = 8


class Wish(NamedTuple):
    """What a request asks for: the graph instead of the response, and by which tokens."""

    instead: bool
    tokens: tuple[str, ...]


def wish(meta: Mapping[str, Any]) -> Wish | None:
    """What ``?flames=...`` and the header say; None: nothing.

    Words are separated by commas: ``svg``, ``1``, or a token.
    """
    said: list[str] = []
    for part in as_text(meta.get("QUERY_STRING", "")).split("&"):
        name, _, value = part.partition("=")
        if name == PARAMETER:
            said.append(unquote_plus(value))
    if HEADER in meta:
        said.append(as_text(meta[HEADER]))
    if not said:
        return None
    words = [word.strip() for word in ",".join(said).split(",", MOST_WORDS)[:MOST_WORDS]]
    return Wish("svg" in words, tuple(each for each in words if each not in ("", "1", "svg")))


def new_token(path: str, seconds: float) -> str:
    """A token for ``path`` and all below it.

    Raises:
        ValueError: no token can be for such a path, or for so long.
    """
    if not path.startswith("/") or not _is_plain(path) or "?" in path or "#" in path:
        raise ValueError(f"{path!r} is no path like /shop/orders")
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"a token is good for {LONGEST} seconds at most")
    return signing.dumps([path.rstrip("/"), int(clock.time() + seconds)], salt=SALT)


def is_good(token: str, path: str) -> bool:
    """True when ``token`` is ours, is not over, and is for ``path``, which is decoded."""
    if len(token) > LONGEST_TOKEN or not token.isascii():
        return False
    try:
        scope, expires = signing.loads(token, salt=SALT)
        return clock.time() < expires and _within(path, scope)
    except NOT_OURS:
        return False


def _within(path: str, scope: str) -> bool:
    # "/shop" is not "/shopping"; and what somebody behind us may resolve to another path, a static
    # view or the next proxy, is not below anything.
    return not scope or ((path == scope or path.startswith(f"{scope}/")) and _is_plain(path))


def _is_plain(path: str) -> bool:
    """False with ``..``, ``//``, backslashes, or what would still have to be decoded."""
    inner = path.strip("/").split("/") if path != "/" else []
    return (
        not path.startswith("//")
        and not path.endswith("//")
        and not any(part in ("", ".", "..") for part in inner)
        and not any(each in path for each in "%\\;")
        and path.isprintable()
    )


def may(request: HttpRequest, tokens: Sequence[str], allow: Sequence[str]) -> bool | None:
    """Whether this request may be profiled; None: only once its user is known, see ``may_now``."""
    if not allow:
        return False
    if settings.DEBUG:
        return True
    if "token" in allow and any(is_good(each, request.path) for each in tokens):
        return True
    later = "staff" in allow
    for answer in _answers(request, allow):
        if answer:
            return True
        later = later or answer is None
    # Whoever has no session is nobody, and costs nothing more.
    return None if later and settings.SESSION_COOKIE_NAME in request.COOKIES else False


def may_now(request: HttpRequest, allow: Sequence[str]) -> bool:
    """The same after the view, for those of whom it depends on their user."""
    if "staff" in allow:
        user: Any = getattr(request, "user", None)
        if user is not None and user.is_active and user.is_staff:
            return True
    return any(_answers(request, allow))


def _answers(request: HttpRequest, allow: Sequence[str]) -> list[bool | None]:
    return [_ask(path, request) for path in allow if path not in ALLOWED]


def _ask(path: str, request: HttpRequest) -> bool | None:
    """What a callable of the settings says; None: it cannot tell yet."""
    try:
        answer = import_string(path)(request)
    except NOT_YET:
        # It looks at request.user, which the application's own middleware has not yet set, or
        # which may not be asked for in an event loop.
        return None
    if inspect.isawaitable(answer):
        if inspect.iscoroutine(answer):
            answer.close()
        raise TypeError(f"{path} of FLAMES['ALLOW'] must not be a coroutine function")
    return bool(answer)
