"""What a route calls a token is masked in the path, in the black box as well."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path, register_converter

from slowhound.blackbox.box import Box
from slowhound.context import Context
from slowhound.recorder import process
from slowhound.redaction.mask import MASK
from slowhound.testing import capture_events

boxes: list[bytes] = []


def keep_box(_request: HttpRequest, **_: object) -> HttpResponse:
    """Keeps all bytes of its worker's box."""
    active = process.get()
    assert active is not None
    assert isinstance(active.own_box.box, Box)
    boxes.append(Path(active.own_box.box.path).read_bytes())
    Context.set("seen", Context.get("path", namespace="req"))
    return HttpResponse("seen")


class Signed:
    """A converter that makes its own object of the text."""

    regex = "[a-z]+"

    def to_python(self, value: str) -> Any:
        return [value]

    def to_url(self, value: Any) -> str:
        return str(value[0])


register_converter(Signed, "signed")
urlpatterns = [
    path("reset/<slug:uidb64>/<slug:token>/", keep_box),
    path("key/<uuid:api_key>/", keep_box),
    path("pin/<int:pin>/for/<slug:author>/", keep_box),
    path("signed/<signed:secret>/", keep_box),
    path("plain/<slug:name>/", keep_box),
]
KEY = uuid.UUID(int=7)


@pytest.fixture(autouse=True)
def _site(configure: Any) -> None:
    configure()
    boxes.clear()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("/reset/MQ/hunter2/", f"/reset/MQ/{MASK}/"),
        (f"/key/{KEY}/", f"/key/{MASK}/"),
        ("/pin/4711/for/ada/", f"/pin/{MASK}/for/ada/"),
        ("/signed/hunter/", "/signed/<signed:secret>/"),
        ("/plain/hunter2/", "/plain/hunter2/"),
        ("/plain/sk_live_4242424242424242/", f"/plain/{MASK}/"),
        ("/nowhere/eyJhbGciOi.eyJzdWIi.abc/", f"/nowhere/{MASK}/"),
    ],
)
def test_what_the_route_calls_a_token_is_masked_in_the_path(asked: str, shown: str) -> None:
    """By the name of the parameter, and by the form of the value; other parameters stay."""
    with override_settings(ROOT_URLCONF=__name__), capture_events() as events:
        Client().get(asked)
    assert [event["req_path"] for event in events] == [shown]


def test_path_in_the_box_is_masked_in_both_halves(client: Client) -> None:
    """Payloads are written into two halves in turn: the other one must not keep the first path."""
    with override_settings(ROOT_URLCONF=__name__):
        client.get("/reset/MQ/hunter2/", headers={"referer": "https://shop/?token=hunter2"})
    (box,) = boxes
    assert b"/reset/MQ/" in box
    assert b"https://shop/?token=" in box
    assert b"hunter2" not in box
