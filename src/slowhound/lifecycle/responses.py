"""Reads an application's response without running any code of the application.

A response class of the application may define a property under any of Django's names. Where it does
not, plain attribute access is used, which takes a hundredth of the time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import FileResponse, HttpResponse, StreamingHttpResponse
from django.template.response import SimpleTemplateResponse

from slowhound.redaction.plain_data import as_int
from slowhound.runtime.attributes import attribute_or
from slowhound.runtime.library_names import find
from slowhound.runtime.static_lookup import dict_of, in_classes, mro_of

# Django's own getters, whatever a class of the application defines under these names.
_content: Callable[[Any], bytes] = vars(HttpResponse)["content"].fget
_rendered_content = vars(SimpleTemplateResponse)["content"].fget
_is_rendered: Callable[[Any], bool] = vars(SimpleTemplateResponse)["is_rendered"].fget
# Response classes seen so far, each with whether it is plain. The class itself is kept as well, so
# that another one, made later at the same address, is not taken for it.
MOST_CLASSES = 256
_plain: dict[int, tuple[type, bool]] = {}
# A class that defines one of these sends its body in its own way, which cannot be followed.
_OWN_SENDING = (
    "streaming_content",
    "_set_streaming_content",
    "make_bytes",
    "__iter__",
    "__aiter__",
)
_headers = find("django.http.response.ResponseHeaders", "a declared length is not known")


def is_plain(kind: type) -> bool:
    """True where plain attribute access runs no code of the application."""
    found = _plain.get(id(kind))
    if found is None:
        plain = in_classes(kind, "__getattribute__") is object.__getattribute__ and all(
            type(in_classes(kind, name)) in (int, bool) for name in ("status_code", "streaming")
        )
        found = kind, plain
        if len(_plain) < MOST_CLASSES:
            _plain[id(kind)] = found
    return found[1]


def status_of(response: Any) -> int | None:
    """The response's status, if it is a number."""
    plain = is_plain(type(response))
    return as_int(response.status_code if plain else attribute_or(response, "status_code"))


def streams(response: Any) -> bool:
    """True when the response's body is made while it is sent."""
    plain = is_plain(type(response))
    return (response.streaming if plain else attribute_or(response, "streaming")) is True


def size_of(response: Any) -> int | None:
    """The size of the body, if it is made by now; None where only the application could tell."""
    found = in_classes(type(response), "content")
    getter = found.fget if type(found) is property else None
    if getter is _content or (getter is _rendered_content and _is_rendered(response)):
        return len(_content(response))
    return length_of(response)


def length_of(response: Any) -> int | None:
    """The response's ``Content-Length``."""
    headers = attribute_or(response, "headers")
    return as_int(headers.get("Content-Length")) if type(headers) is _headers else None


def is_file(response: Any) -> bool:
    """True where the server may send a file by itself."""
    is_one = issubclass(type(response), FileResponse)
    return is_one and attribute_or(response, "file_to_stream") is not None


def sends_as_django_does(kind: type) -> bool:
    """False for a class that sends its body in its own way."""
    for each in mro_of(kind):
        if each is StreamingHttpResponse or each is FileResponse:
            return True
        if any(name in dict_of(each) for name in _OWN_SENDING):
            return False
    return False
