"""The black box knows the view as soon as Django does."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import path

from slowhound import recorder
from slowhound.boxes import read

seen: list[bytes] = []
taken: list[bool] = []


def look_into_the_box(_request: HttpRequest) -> HttpResponse:
    """A view that reads its own worker's box."""
    active = recorder.get()
    assert active is not None
    assert active.box is not None
    state = read(Path(active.box.path).read_bytes())
    assert state is not None
    seen.extend(pending.view for pending in state.pending)
    taken.extend(pending.reported for pending in state.pending)
    return HttpResponse("seen")


urlpatterns = [path("box/", look_into_the_box, name="the-box")]


def test_a_request_that_dies_in_its_view_has_the_name_of_the_view(tmp_path: Path) -> None:
    """Written when the URL is resolved, before the view can do any harm."""
    seen.clear()
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND={"DIR": str(tmp_path)}):
        Client().get("/box/")
    assert seen == [b"the-box"]


@pytest.mark.parametrize(
    ("name", "left"),
    [(f"{__name__}.look_into_the_box", True), ("box/", True), ("the-box", True), ("other", False)],
)
def test_what_is_ignored_by_any_name_is_left_alone_by_neighbours(
    tmp_path: Path, name: str, left: bool
) -> None:
    """They know only the view's name, and report nothing that counts as reported."""
    taken.clear()
    settings = {"DIR": str(tmp_path), "IGNORE": [name]}
    with override_settings(ROOT_URLCONF=__name__, SLOWHOUND=settings):
        Client().get("/box/")
    assert taken == [left]
