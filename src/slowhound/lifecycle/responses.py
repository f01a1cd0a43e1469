"""What a response of the application's says, read without any code of its.

A class of the application's may have a property by any of Django's names; where it has not, plain
reading costs a hundredth.
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

# Of Django's own classes, whatever a class of the application's has by these names.
_content: Callable[[Any], bytes] = vars(HttpResponse)["content"].fget
_rendered_content = vars(SimpleTemplateResponse)["content"].fget
_is_rendered: Callable[[Any], bool] = vars(SimpleTemplateResponse)["is_rendered"].fget
# Classes of responses that are remembered, each with whether it is plain; held, so that none is
# taken for another one that was made in its place.
CLASSES = 256
_plain: dict[int, tuple[type, bool]] = {}
# By these a class has its body sent in a way of its own, which cannot be looked into.
_WAYS = ("streaming_content", "_set_streaming_content", "make_bytes", "__iter__", "__aiter__")
_headers = find("django.http.response.ResponseHeaders", "a declared length is not known")


def is_plain(kind: type) -> bool:
    """True where plain reading runs no code of the application's: it costs a hundredth."""
    found = _plain.get(id(kind))
    if found is None:
        plain = in_classes(kind, "__getattribute__") is object.__getattribute__ and all(
            type(in_classes(kind, name)) in (int, bool) for name in ("status_code", "streaming")
        )
        found = kind, plain
        if len(_plain) < CLASSES:
            _plain[id(kind)] = found
    return found[1]


def status_of(response: Any) -> int | None:
    """Its status, if it is a number."""
    plain = is_plain(type(response))
    return as_int(response.status_code if plain else attribute_or(response, "status_code"))


def streams(response: Any) -> bool:
    """True when its body is made while it is sent."""
    plain = is_plain(type(response))
    return (response.streaming if plain else attribute_or(response, "streaming")) is True


def size_of(response: Any) -> int | None:
    """The bytes of its body, if that is made; None: only the application's code could tell."""
    found = in_classes(type(response), "content")
    getter = found.fget if type(found) is property else None
    if getter is _content or (getter is _rendered_content and _is_rendered(response)):
        return len(_content(response))
    return length_of(response)


def length_of(response: Any) -> int | None:
    """What its ``Content-Length`` says."""
    headers = attribute_or(response, "headers")
    return as_int(headers.get("Content-Length")) if type(headers) is _headers else None


def is_file(response: Any) -> bool:
    """True where a server may send a file by itself."""
    is_one = issubclass(type(response), FileResponse)
    return is_one and attribute_or(response, "file_to_stream") is not None


def sends_as_django_does(kind: type) -> bool:
    """False where a class has its body sent in a way of its own."""
    for each in mro_of(kind):
        if each is StreamingHttpResponse or each is FileResponse:
            return True
        if any(name in dict_of(each) for name in _WAYS):
            return False
    return False
