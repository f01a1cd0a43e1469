"""Exceptions have their type, text and location in the event, handled or not."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.sources import loc

ERRORS = "views/errors.py"


def test_unhandled_error_is_located(site: Site) -> None:
    """An unhandled error has its type, message, and outermost and innermost lines."""
    answer = site.get("/raise/")
    event = site.terminal(answer.agent)
    assert (answer.status, event["resp_status"], event["resp_outcome"]) == (500, 500, "error")
    assert (event["exc_type"], event["exc_msg"]) == ("OhNoes", "Oh noes!")
    assert event["exc_loc"] == loc(ERRORS, "raises", "raises")
    assert event["exc_cause_loc"] == loc(ERRORS, "cause", "_thrower")
    assert event["resp_view"] == "raise"


def test_chained_error_is_the_last_one(site: Site) -> None:
    """Of an error raised from another one, the event has the one that left the view."""
    event = site.event("/raise-from/")
    assert (event["exc_type"], event["exc_msg"]) == ("ValueError", "worse")
    assert event["exc_cause_loc"] == loc(ERRORS, "from", "raises_from")


@pytest.mark.parametrize(
    ("path", "status", "kind", "mark"),
    [
        ("/denied/", 403, "PermissionDenied", "denied"),
        ("/missing/", 404, "Http404", "missing"),
        ("/refused/", 409, "Refused", "refused"),
    ],
)
def test_error_that_becomes_a_response_is_recorded(
    site: Site, path: str, status: int, kind: str, mark: str
) -> None:
    """An error that becomes a response is in the event, with the response's outcome."""
    answer = site.get(path)
    event = site.terminal(answer.agent)
    assert (answer.status, event["resp_status"], event["resp_outcome"]) == (status, status, "ok")
    assert event["exc_type"] == kind
    assert event["exc_loc"] == loc(ERRORS, mark, mark)


def test_error_that_a_view_catches_is_no_error(site: Site) -> None:
    """An error that the view itself catches is not in the event."""
    event = site.event("/swallowed/")
    assert (event["resp_status"], event["resp_outcome"]) == (200, "ok")
    assert not event.get("exc_type")


def test_error_without_a_text_costs_only_its_text(site: Site, bare_site: Site) -> None:
    """An error whose __str__ raises is recorded with its type and location."""
    answer = site.get("/unprintable/")
    assert answer.body == bare_site.get("/unprintable/").body
    event = site.terminal(answer.agent)
    assert (event["exc_type"], event["resp_status"]) == ("Unprintable", 500)
    assert event["exc_loc"] == loc(ERRORS, "unprintable", "unprintable")
    assert isinstance(event["exc_msg"], str)


def test_template_error_names_the_innermost_template(site: Site) -> None:
    """An error three includes deep has the innermost template and its line."""
    event = site.event("/in-template/")
    assert event["exc_template"] == "deep/third.html:3"
    assert event["exc_loc"] == loc(ERRORS, "render", "in_template")
    assert event["exc_cause_loc"] == loc(ERRORS, "bomb", "explode")


def test_template_error_is_placed_under_debug(serve: Launcher) -> None:
    """With DEBUG the template is the same."""
    site = serve(django={"DEBUG": True})
    event = site.event("/in-template/")
    assert event["exc_template"] == "deep/third.html:3"
    assert event["exc_type"] == "OhNoes"


def test_error_outside_any_view_is_recorded(serve: Launcher) -> None:
    """An error of a middleware has its line, although no view was reached."""
    site = serve(extra_middleware=["tests.site.middleware.BreaksOutside"])
    event = site.event("/broken-middleware/")
    assert (event["exc_type"], event["resp_status"]) == ("RuntimeError", 500)
    assert event["exc_cause_loc"] == loc("middleware.py", "middleware", "__call__")
    assert not event.get("resp_view")


def test_template_of_one_request_is_not_of_the_next(site: Site) -> None:
    """An error outside of templates has no template, also after one that had one."""
    site.get("/in-template/")
    assert not site.event("/raise/").get("exc_template")


APP = """\
from django.http import HttpResponse
from django.urls import path
from tests.site.views import basic


def inner():
    raise RuntimeError("under the prefix")


def view(request):
    inner()
    return HttpResponse("never")


urlpatterns = [path("prefixed/", view), path("ok/", basic.ok)]
"""


@pytest.fixture
def app_under_the_prefix() -> Iterator[Path]:
    """A folder with an application below the interpreter's prefix."""
    folder = Path(sys.prefix) / "slowhound-test-app"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        pytest.skip(f"the interpreter's prefix cannot be written: {error}")
    source = folder / "prefixed_urls.py"
    source.write_text(textwrap.dedent(APP))
    yield folder
    for file in folder.rglob("*.py*"):
        file.unlink()
    for inner in folder.iterdir():
        inner.rmdir()
    folder.rmdir()


def test_app_under_the_interpreters_prefix_is_an_app(
    serve: Launcher, app_under_the_prefix: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application below the virtual environment is not taken for a library."""
    monkeypatch.setenv("PYTHONPATH", str(app_under_the_prefix))
    site = serve(django={"ROOT_URLCONF": "prefixed_urls"})
    event = site.event("/prefixed/")
    assert event["exc_loc"] == "prefixed_urls.py:11:view"
    assert event["exc_cause_loc"] == "prefixed_urls.py:7:inner"
