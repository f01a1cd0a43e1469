"""Who may see the viewer. Events hold paths, addresses and SQL, so access is off by default.

``VIEWER["ALLOW"]`` is ``debug`` (users of this machine, and staff, while DEBUG is on), ``staff``
(users with ``is_staff``, always), or the dotted path of a function that is given the request.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.utils.module_loading import import_string

from slowhound.config.config import Config
from slowhound.config.from_django import get_config

# Headers of a proxy: then the peer is the proxy, not the user.
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class Forbidden(Exception):  # noqa: N818  becomes a response with status 403
    """The viewer is on, but not for this user; the text says for whom it is."""


def is_on() -> bool:
    """False while nobody may see the viewer; then its URLs do not exist."""
    config = get_config()
    return config.enabled and (settings.DEBUG or _allow(config) != "debug")


def check(request: HttpRequest) -> None:
    """Returns when this request may see the viewer.

    Raises:
        Http404: the viewer is off. Its URLs do not resolve then, so this only happens where a site
            calls its views by URLs of its own.
        Forbidden: it is on, but not for this request.
        DisallowedHost: the Host header is not one of ALLOWED_HOSTS, as when another site's name was
            pointed at this address (DNS rebinding).
    """
    request.get_host()
    if not is_on():
        raise Http404
    allow = _allow(get_config())
    if allow == "debug":
        if not (is_local(request) or is_staff(request)):
            raise Forbidden(
                "While DEBUG is on, only this machine, INTERNAL_IPS and staff have access."
            )
    elif allow == "staff":
        if not is_staff(request):
            raise Forbidden("Only staff have access: log in as a user with the staff status.")
    elif not _function(allow)(request):
        raise Forbidden("The site's own rule denies access.")


def _allow(config: Config) -> str:
    allow: str = config.viewer.get("ALLOW", "debug")
    return allow


def is_staff(request: HttpRequest) -> bool:
    """True for an active user with ``is_staff``; False where the site has no users."""
    user = getattr(request, "user", None)
    return user is not None and user.is_authenticated and user.is_active and user.is_staff


def is_local(request: HttpRequest) -> bool:
    """True when the peer is this machine or in INTERNAL_IPS, and no proxy is in between."""
    if any(name in request.META for name in FORWARDED):
        return False
    address = request.META.get("REMOTE_ADDR", "")
    if address in settings.INTERNAL_IPS:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False  # a unix socket, whose other end is a proxy


def _function(path: str) -> Callable[[HttpRequest], Any]:
    found: Callable[[HttpRequest], Any] = import_string(path)
    return found
