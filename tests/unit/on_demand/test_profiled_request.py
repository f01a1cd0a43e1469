"""`?flames` in this process: the response, the files, and no effect on anything else."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from django.core.cache import caches
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseNotModified,
    StreamingHttpResponse,
)
from django.test import AsyncClient, Client
from django.test.utils import override_settings
from django.urls import include, path
from django.utils.deprecation import MiddlewareMixin

from slowhound.flames import profile
from slowhound.flames.profile import UNSAMPLED
from slowhound.flames.sampling import session as module
from slowhound.flames.search import find
from slowhound.on_demand import profiled_request
from slowhound.on_demand.permission import new_token
from slowhound.recorder import process
from slowhound.redaction.urls import query_string
from slowhound.system import guard, losses
from slowhound.testing import capture_events
from tests.harness.waiting import eventually

gates: dict[str, threading.Event] = {}
closed: list[str] = []
users: list[Any] = []


def hot(seconds: float = 0.1) -> int:
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        total += 1
    return total


def busy(request: HttpRequest) -> HttpResponse:
    hot(float(request.GET.get("hot", 0.1)))
    response = HttpResponse(
        "busy", headers={"Link": "</a>; rel=next", "Server-Timing": "app;dur=1"}
    )
    response.set_cookie("seen", "1")
    response._resource_closers.append(lambda: closed.append("busy"))  # type: ignore[attr-defined]
    return response


async def busy_later(request: HttpRequest) -> HttpResponse:
    hot()
    return HttpResponse("busy later")


def queries(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for number in range(3):
            cursor.execute("SELECT %s", [number])
    return HttpResponse("three")


def streams(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"one"
        hot(float(request.GET.get("hot", 0.1)))
        yield b"two"
        if "breaks" in request.GET:
            raise LookupError("in the body")

    return StreamingHttpResponse(parts())


def endless(request: HttpRequest) -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        try:
            while True:
                hot(0.01)
                yield b"."
        finally:
            closed.append("endless")

    return StreamingHttpResponse(parts())


async def streams_later(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> Any:
        yield b"one"
        hot()
        yield b"two"

    return StreamingHttpResponse(parts())


async def silent(request: HttpRequest) -> StreamingHttpResponse:
    async def parts() -> Any:
        yield b"one"
        try:
            await asyncio.sleep(3600)
        finally:
            closed.append("silent")

    return StreamingHttpResponse(parts())


def sends_file(request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


def fails(request: HttpRequest) -> HttpResponse:
    raise ValueError("the view")


def denied(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def not_modified(request: HttpRequest) -> HttpResponse:
    return HttpResponseNotModified()


def moved(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=302, headers={"Location": request.GET["to"]})


def waits(request: HttpRequest) -> HttpResponse:
    gates["entered"].set()
    gates["open"].wait(30)
    return HttpResponse("waited")


def shows(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.GET.get("flames", "-"))


def public(request: HttpRequest) -> HttpResponse:
    return HttpResponse("public", headers={"Cache-Control": "public, max-age=600"})


def exits(request: HttpRequest) -> HttpResponse:
    raise SystemExit


urlpatterns = [
    path("busy/", busy),
    path("busy-later/", busy_later),
    path("public/", public),
    path("queries/", queries),
    path("streams/", streams),
    path("streams-later/", streams_later),
    path("endless/", endless),
    path("silent/", silent),
    path("file/", sends_file),
    path("fails/", fails),
    path("denied/", denied),
    path("not-modified/", not_modified),
    path("moved/", moved),
    path("waits/", waits),
    path("shows/", shows),
    path("exits/", exits),
]


class Users(MiddlewareMixin):
    """In place of Django's own middleware: the first of `users` is the user of the request."""

    def process_request(self, request: HttpRequest) -> None:
        if users:
            request.user = users[0]


MIDDLEWARE = ["slowhound.middleware.SlowhoundMiddleware", f"{__name__}.Users"]
STAFF = SimpleNamespace(is_active=True, is_staff=True)
NOBODY = SimpleNamespace(is_active=True, is_staff=False)


@pytest.fixture(autouse=True)
def site(_fresh: None) -> Iterator[None]:
    """The views above; the state of earlier tests is reset."""
    closed.clear()
    users.clear()
    gates.update(entered=threading.Event(), open=threading.Event())
    profiled_request._forget_after_fork()
    with override_settings(ROOT_URLCONF=__name__, MIDDLEWARE=MIDDLEWARE):
        yield
    profiled_request._worker.writer._wait()


@pytest.fixture
def folder(configure: Any) -> Path:
    """The folder of the graphs. All clients may ask at any time; no graph is made automatically."""
    found: Path = configure(FLAMES={"ALLOW": [f"{__name__}.yes"], "EVERY": 0}, SAMPLE_AFTER=3600)
    return found / "flames"


def yes(request: HttpRequest) -> bool:
    return True


def written(folder: Path, name: str) -> profile.Profile:
    """The profile of that name, once its drawings are written as well."""
    eventually((folder / f"{name}.speedscope.json").exists, "the drawings are written")
    return profile.load((folder / f"{name}.flame.json.gz").read_bytes())


def hottest(found: profile.Profile) -> str:
    """The innermost function with the largest share of the sampled time."""
    shares: Counter[str] = Counter()
    for each in found.samples:
        stack = found.stacks[each.stack]
        if stack and each.state != UNSAMPLED:
            shares[found.frames[stack[-1]].name] += round(each.weight * 1e6)
    return shares.most_common(1)[0][0]


def share(found: profile.Profile, function: str) -> float:
    """The share of stacks with this function."""
    inside = {
        number
        for number, stack in enumerate(found.stacks)
        if any(found.frames[frame].name.endswith(function) for frame in stack)
    }
    total = sum(sample.weight for sample in found.samples)
    return sum(sample.weight for sample in found.samples if sample.stack in inside) / total


def test_response_is_kept_and_has_a_link_to_the_graph(client: Client, folder: Path) -> None:
    """Body, status and its own headers stay; three files, which only their owner can read."""
    plain = client.get("/busy/")
    response = client.get("/busy/?flames")
    assert (response.status_code, response.content) == (200, plain.content)
    name = response["Slowhound-Flames"]
    own, ours = response["Link"].split(", ")
    assert own == "</a>; rel=next"
    url = (folder / f"{name}.svg").as_uri()
    assert ours == f'<{url}>; rel="describedby"; type="image/svg+xml"'
    added = {"Slowhound-Flames", "Link", "Server-Timing", "Cache-Control"}
    assert {k: v for k, v in response.items() if k not in added} == {
        k: v for k, v in plain.items() if k not in added
    }
    found = written(folder, name)
    assert hottest(found) == "hot"
    assert found.event["req_path"] == "/busy/"
    assert found.event["resp_status"] == 200
    assert found.event["resp_time"] > 0.05
    files = sorted(folder.iterdir())
    endings = (".flame.json.gz", ".speedscope.json", ".svg")
    assert [each.name for each in files] == [f"{name}{ending}" for ending in endings]
    assert {each.stat().st_mode & 0o777 for each in files} == {0o600}
    assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")


def test_no_cache_keeps_the_response_for_one_client(client: Client, folder: Path) -> None:
    """The header is no part of the URL, so a cache would send it to other clients."""
    caches["default"].clear()
    update = "django.middleware.cache.UpdateCacheMiddleware"
    fetch = "django.middleware.cache.FetchFromCacheMiddleware"
    with override_settings(MIDDLEWARE=[update, *MIDDLEWARE, fetch]):
        for words in ("1", "svg"):
            asked = client.get("/public/", headers={"Slowhound-Flames": words})
            assert asked["Cache-Control"] == "private, no-store"
        plain = client.get("/public/")
    assert plain.content == b"public"
    assert "Slowhound-Flames" not in plain
    assert plain["Cache-Control"] == "public, max-age=600"


def test_link_leads_to_the_viewer_where_there_is_one(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any path where it is mounted."""
    mounted = ModuleType("with_viewer")
    tools = path("tools/", include("slowhound.viewer.urls"))
    mounted.urlpatterns = [tools, *urlpatterns]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "with_viewer", mounted)
    with override_settings(ROOT_URLCONF="with_viewer", DEBUG=True):
        response = client.get("/shows/?flames")
        name = response["Slowhound-Flames"]
        page = f"/tools/flame/?name={name}.flame.json.gz"
        assert response["Link"] == f'<{page}>; rel="describedby"; type="text/html"'
        written(folder, name)
        assert client.get(page).status_code == 200


def test_timings_are_those_of_the_event(client: Client, folder: Path) -> None:
    """In milliseconds, after the values that the application has set itself."""
    with capture_events() as events:
        response = client.get("/queries/?flames")
    parts = dict(each.split(";", 1) for each in response["Server-Timing"].split(", "))
    times = {name: float(rest.split(";")[0].removeprefix("dur=")) for name, rest in parts.items()}
    assert set(times) == {"total", "db", "rest"}
    assert parts["db"].endswith(';desc="queries: 3"')
    assert times["db"] == pytest.approx(events[0]["db_time"] * 1000, abs=0.001)
    assert times["db"] + times["rest"] == pytest.approx(times["total"], abs=0.01)
    assert client.get("/busy/?flames")["Server-Timing"].startswith("app;dur=1, total;dur=")


def test_graph_is_sent_instead_of_the_response(client: Client, folder: Path) -> None:
    """As an SVG that can only run its own script; cookies stay, the body is closed."""
    response = client.get("/busy/?flames=svg")
    assert response.status_code == 200
    assert response["Content-Type"] == "image/svg+xml"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Cache-Control"] == "private, no-store"
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert response.cookies["seen"].value == "1"
    assert closed == ["busy"]
    root = ET.fromstring(response.content)
    assert "hot" in ET.tostring(root, encoding="unicode")
    found = written(folder, response["Slowhound-Flames"])
    assert found.event["resp_status"] == 200
    text = (folder / f"{response['Slowhound-Flames']}.svg").read_bytes()
    assert text == response.content


@pytest.mark.parametrize("path", ["/streams/", "/streams/?breaks"])
def test_graph_of_a_streamed_body_covers_the_body(client: Client, folder: Path, path: str) -> None:
    """The body is read and discarded, also when it fails."""
    join = "&" if "?" in path else "?"
    response = client.get(f"{path}{join}flames=svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert hottest(written(folder, response["Slowhound-Flames"])) == "hot"


def test_endless_body_is_closed_after_its_seconds(client: Client, configure: Any) -> None:
    """The graph is of that time."""
    folder = configure(FLAMES={"ALLOW": f"{__name__}.yes", "SECONDS": 0.05}) / "flames"
    response = client.get("/endless/?flames=svg")
    assert response["Content-Type"] == "image/svg+xml"
    assert closed == ["endless"]
    assert written(folder, response["Slowhound-Flames"]).event["req_path"] == "/endless/"


def test_silent_body_is_closed_after_its_seconds(configure: Any) -> None:
    """A stream of events may wait forever for the next one."""
    configure(FLAMES={"ALLOW": [f"{__name__}.yes"], "EVERY": 0, "SECONDS": 0.2})
    response = asyncio.run(AsyncClient().get("/silent/?flames=svg"))
    assert response["Content-Type"] == "image/svg+xml"
    assert closed == ["silent"]


def test_streamed_body_is_profiled_to_its_end(client: Client, folder: Path) -> None:
    """The headers are sent before that, with the times until then."""
    response = client.get("/streams/?flames")
    assert response.getvalue() == b"onetwo"  # type: ignore[attr-defined]
    response.close()
    assert response["Server-Timing"].startswith("view;dur=")
    assert "total" not in response["Server-Timing"]
    found = written(folder, response["Slowhound-Flames"])
    assert hottest(found) == "hot"
    assert found.event["resp_bytes"] == 6


def test_client_that_disconnects_ends_it(client: Client, folder: Path) -> None:
    """The samples until then are kept, and another request can be profiled."""
    response = client.get("/endless/?flames")
    parts = iter(response.streaming_content)  # type: ignore[attr-defined]
    assert next(parts) == b"."
    response.close()
    found = written(folder, response["Slowhound-Flames"])
    assert found.event["resp_outcome"] == "disconnect"
    assert client.get("/busy/?flames")["Slowhound-Flames"] != "busy"


def in_a_loop(url: str) -> tuple[Any, bytes]:
    """The response to an asynchronous client, and its body."""

    async def get() -> tuple[Any, bytes]:
        response = await AsyncClient().get(url)
        if not response.streaming:
            return response, response.content
        content = response.streaming_content  # type: ignore[attr-defined]
        body = b"".join([part async for part in content])
        await asyncio.to_thread(response.close)
        return response, body

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/busy-later/", b"busy later"),
        ("/streams-later/", b"onetwo"),
        ("/busy/", b"busy"),  # in a thread
    ],
)
def test_views_under_asgi_have_their_graph(folder: Path, url: str, body: bytes) -> None:
    """With the response, and in its place."""
    kept, content = in_a_loop(f"{url}?flames")
    assert content == body
    assert hottest(written(folder, kept["Slowhound-Flames"])) == "hot"
    instead, content = in_a_loop(f"{url}?flames=svg")
    assert content.startswith(b"<svg")
    assert hottest(written(folder, instead["Slowhound-Flames"])) == "hot"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("post", "/busy/", 200),
        ("head", "/busy/", 200),
        ("get", "/fails/", 500),
        ("get", "/denied/", 403),
        ("get", "/not-modified/", 304),
        ("get", "/missing/", 404),
        ("get", "/file/", 200),
        ("get", "/moved/?to=/busy/", 302),
    ],
)
def test_every_kind_of_response_is_kept(
    client: Client, folder: Path, method: str, path: str, status: int
) -> None:
    """Byte for byte, with a graph."""
    join = "&" if "?" in path else "?"
    plain = getattr(client, method)(path)
    response = getattr(client, method)(f"{path}{join}flames")
    assert (plain.status_code, response.status_code) == (status, status)
    bodies = [each.getvalue() if each.streaming else each.content for each in (plain, response)]
    assert bodies[0] == bodies[1]
    plain.close()
    response.close()
    assert isinstance(response, type(plain))
    assert written(folder, response["Slowhound-Flames"]).event["resp_status"] == status


def test_head_gets_no_graph(client: Client, folder: Path) -> None:
    """Only its headers."""
    response = client.head("/busy/?flames=svg")
    assert response["Content-Type"].startswith("text/html")
    assert response["Slowhound-Flames"].startswith("flame_")


@pytest.mark.parametrize("words", ["flames", "flames=svg"])
def test_redirect_to_the_same_page_is_followed(client: Client, configure: Any, words: str) -> None:
    """`/busy?flames` redirects to `/busy/?flames`, which is profiled, and at once."""
    configure(FLAMES={"ALLOW": f"{__name__}.yes", "EVERY": 60})
    first = client.get("/moved/", {"to": f"/busy/?{words}", "flames": "svg"})
    assert first.status_code == 302
    assert "Slowhound-Flames" not in first
    assert client.get(f"/busy/?{words}")["Slowhound-Flames"].startswith("flame_")


def test_view_sees_the_parameter(client: Client, folder: Path) -> None:
    """Nothing is removed from the request."""
    assert client.get("/shows/?flames=svg2").content == b"svg2"


def test_header_can_ask_as_well(client: Client, folder: Path) -> None:
    """For clients of an API that cannot change their URLs."""
    kept = client.get("/busy/", headers={"Slowhound-Flames": "1"})
    assert kept.content == b"busy"
    assert kept["Slowhound-Flames"].startswith("flame_")
    drawn = client.get("/busy/", headers={"Slowhound-Flames": "svg"})
    assert drawn["Content-Type"] == "image/svg+xml"


def same(first: Any, second: Any) -> bool:
    return (
        first.status_code == second.status_code
        and first.content == second.content
        and dict(first.items()) == dict(second.items())
    )


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "/shows/?flames"},
        {"path": "/shows/?flames=svg"},
        {"path": "/shows/?flames=x.y.z"},
        {"path": "/shows/?flames=" + "a" * 5000},
        {"path": "/shows/?flames=%FF%00"},
        {"path": "/shows/", "headers": {"Slowhound-Flames": "svg"}},
        {"path": "/shows/", "headers": {"Slowhound-Flames": "\xff\xfe"}},
        {"path": "/shows/?flames=svg", "HTTP_COOKIE": "sessionid=1"},
    ],
    ids=lambda each: str(each)[:60],
)
@pytest.mark.parametrize("allow", ["debug", "token", "staff", f"{__name__}.no"])
def test_refused_client_gets_the_usual_response(
    client: Client, configure: Any, request_: dict[str, Any], allow: str
) -> None:
    """The same as without slowhound: no folder, no file, no thread is left."""
    with override_settings(MIDDLEWARE=MIDDLEWARE[1:]):
        bare = Client().get(**request_)
    folder = configure(FLAMES={"ALLOW": allow})
    users.append(NOBODY)
    before = threading.active_count()
    assert same(client.get(**request_), bare)
    assert not (folder / "flames").exists()
    assert threading.active_count() == before
    assert guard.total == 0


def no(request: HttpRequest) -> bool:
    return False


def test_token_is_accepted_for_its_path(client: Client, configure: Any) -> None:
    """In the query and in the header, alone or with svg; for no other path."""
    configure(FLAMES={"ALLOW": "token", "EVERY": 0})
    token = new_token("/busy", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")
    drawn = client.get(f"/busy/?flames={token}&flames=svg")
    assert drawn["Content-Type"] == "image/svg+xml"
    drawn = client.get("/busy/", headers={"Slowhound-Flames": f"{token}, svg"})
    assert drawn["Content-Type"] == "image/svg+xml"
    assert "Slowhound-Flames" not in client.get(f"/shows/?flames={token}")


def test_token_is_written_nowhere(client: Client, configure: Any) -> None:
    """It is in no event and in no file."""
    folder = configure(FLAMES={"ALLOW": "token"})
    token = new_token("/", 60)
    with capture_events() as events:
        referrer = f"http://shop/?flames={token}"
        response = client.get(f"/busy/?flames={token}", headers={"Referer": referrer})
    assert token not in str(events)
    assert token not in query_string(f"page=1&flames=svg,{token}")
    assert events[0]["req_query_keys"] == "flames"
    written(folder / "flames", response["Slowhound-Flames"])
    for each in (folder / "flames").iterdir():
        assert token.encode() not in each.read_bytes()
    (found,) = find(str(folder / "flames"))
    assert token not in str(found.event)


def test_staff_is_recognised_after_the_view(client: Client, configure: Any) -> None:
    """Others with a session are sampled without success, once; then only known clients."""
    folder = configure(FLAMES={"ALLOW": ["staff", "token"], "EVERY": 0})
    client.cookies["sessionid"] = "x"
    users.append(STAFF)
    response = client.get("/busy/?flames")
    assert hottest(written(folder / "flames", response["Slowhound-Flames"])) == "hot"
    assert client.get("/busy/?flames=svg")["Content-Type"] == "image/svg+xml"
    users[:] = [NOBODY]
    stream = client.get("/streams/?flames")
    assert "Slowhound-Flames" not in stream
    assert profiled_request._worker.running is None  # at once, not at the end of the body
    assert module._session is None
    stream.close()
    users[:] = [STAFF]
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    until = profiled_request._worker.no_guess_before
    users[:] = [NOBODY]
    assert "Slowhound-Flames" not in client.get("/busy/?flames")
    assert profiled_request._worker.no_guess_before == until  # asking again does not extend it
    token = new_token("/", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")


def test_interrupted_request_counts_as_a_wrong_guess(client: Client, configure: Any) -> None:
    """Otherwise any client could have one request sampled after the other."""
    folder = configure(FLAMES={"ALLOW": ["staff"], "EVERY": 0})
    client.cookies["sessionid"] = "x"
    users.append(STAFF)
    with pytest.raises(SystemExit):
        client.get("/exits/?flames")
    assert profiled_request._worker.running is None
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    assert not (folder / "flames").exists()


def test_guess_gives_way_to_an_allowed_client(client: Client, configure: Any) -> None:
    """A stranger's slow request does not block a client with a token."""
    configure(FLAMES={"ALLOW": ["staff", "token"], "EVERY": 0})
    users.append(NOBODY)
    stranger = Client()
    stranger.cookies["sessionid"] = "x"
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(stranger.get("/waits/?flames")))
    thread.start()
    gates["entered"].wait(30)
    token = new_token("/", 60)
    assert client.get(f"/busy/?flames={token}")["Slowhound-Flames"].startswith("flame_")
    gates["open"].set()
    thread.join(30)
    assert "Slowhound-Flames" not in answers[0]


def wait_for_samples() -> None:
    """Until the request that is sampled has samples in the view ``waits``."""
    assert gates["entered"].wait(30)
    session = module._session
    assert session is not None
    before = session.samples.taken  # perhaps of frames outside the view
    eventually(lambda: session.samples.taken > before + 20, "samples of the view")


def test_one_at_a_time(client: Client, folder: Path) -> None:
    """The second gets `busy` and its response; afterwards another one can be profiled."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    gates["entered"].wait(30)
    for words in ("flames", "flames=svg"):
        second = client.get(f"/busy/?{words}")
        assert (second.content, second["Slowhound-Flames"]) == (b"busy", "busy")
    gates["open"].set()
    thread.join(30)
    first = written(folder, answers[0]["Slowhound-Flames"])
    assert first.event["req_path"] == "/waits/"
    assert client.get("/busy/?flames")["Slowhound-Flames"].startswith("flame_")


def test_request_that_takes_too_long_gives_way(client: Client, folder: Path) -> None:
    """It has the graph of its first seconds."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    wait_for_samples()
    assert client.get("/busy/?flames")["Slowhound-Flames"] == "busy"
    running, session = profiled_request._worker.running, module._session
    assert running is not None
    assert session is not None
    running.until = session._ends = 0.0  # its seconds are over
    assert client.get("/busy/?flames")["Slowhound-Flames"] != "busy"
    gates["open"].set()
    thread.join(30)
    found = written(folder, answers[0]["Slowhound-Flames"])
    assert share(found, "waits") > 0
    # The time after that is unsampled, if it is in the profile at all.
    assert {each.state for each in found.samples if not found.stacks[each.stack]} <= {UNSAMPLED}


def test_not_more_often_than_the_setting(client: Client, configure: Any) -> None:
    """In each worker."""
    configure(FLAMES={"ALLOW": f"{__name__}.yes", "EVERY": 60})
    assert client.get("/shows/?flames")["Slowhound-Flames"].startswith("flame_")
    assert client.get("/shows/?flames")["Slowhound-Flames"] == "busy"


def test_request_too_fast_to_be_sampled_has_an_unsampled_graph(
    client: Client, folder: Path
) -> None:
    """All of its time is unsampled."""
    found = written(folder, client.get("/shows/?flames")["Slowhound-Flames"])
    unsampled = sum(each.weight for each in found.samples if each.state == UNSAMPLED)
    assert found.duration > 0
    assert unsampled <= found.duration + 0.01
    assert found.event["req_path"] == "/shows/"


def test_event_names_the_graph(client: Client, folder: Path) -> None:
    """So it can be found by its request."""
    with capture_events() as events:
        response = client.get("/busy/?flames")
    assert events[0]["flame"] == response["Slowhound-Flames"] + ".flame.json.gz"


def test_slow_request_on_demand_has_one_graph(client: Client, configure: Any) -> None:
    """That on demand; automatic sampling skips it."""
    folder = configure(FLAMES={"ALLOW": f"{__name__}.yes"}, SAMPLE_AFTER=0.01, SAMPLE_HZ=100)
    with capture_events() as events:
        name = client.get("/busy/?flames")["Slowhound-Flames"]
    assert events[0]["flame"] == f"{name}.flame.json.gz"
    written(folder / "flames", name)
    process.stop()  # with all files that its hound had to write
    assert [each.name for each in find(str(folder / "flames"))] == [events[0]["flame"]]


def test_request_on_demand_keeps_its_event(client: Client, configure: Any) -> None:
    """With any SAMPLING."""
    configure(FLAMES={"ALLOW": f"{__name__}.yes"}, SAMPLING={"ok": 0.0})
    with capture_events() as events:
        client.get("/shows/")
        client.get("/shows/?flames")
    assert [each["req_query_keys"] for each in events] == ["flames"]


def test_graph_that_cannot_be_written_is_named_by_no_event(
    client: Client, configure: Any, tmp_path: Path
) -> None:
    """Here because its folder is missing."""
    configure(FLAMES={"ALLOW": f"{__name__}.yes", "EVERY": 0})
    target = tmp_path / "old"
    with override_settings(FLAMES_DIR=str(target)), capture_events() as events:
        assert client.get("/shows/?flames").status_code == 200
        assert "flame" not in events[-1]
        target.mkdir()
        name = client.get("/shows/?flames")["Slowhound-Flames"]
        assert events[-1]["flame"] == f"{name}.flame.json.gz"
        written(target, name)


def test_flames_dir_is_used_as_it_is(client: Client, configure: Any, tmp_path: Path) -> None:
    """The old setting: an existing folder; DIR is for the rest."""
    configure(FLAMES={"ALLOW": f"{__name__}.yes", "EVERY": 0})
    target = tmp_path / "old"
    with override_settings(FLAMES_DIR=str(target)):
        client.get("/shows/?flames")
        eventually(lambda: losses.dropped == 1, "a folder that is missing is counted")
        target.mkdir()
        name = client.get("/shows/?flames")["Slowhound-Flames"]
        written(target, name)
    assert len(list(target.iterdir())) == 3


@pytest.mark.parametrize("words", ["flames", "flames=svg"])
def test_full_disk_changes_no_response(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """A failed write is counted."""
    expected = client.get(f"/busy/?{words}")
    eventually(lambda: len(list(folder.glob("*.*"))) == 3, "the first is written")
    real = os.open

    def full(path: Any, *rest: Any, **more: Any) -> int:
        if "flame_" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", full)
    response = client.get(f"/busy/?{words}")
    assert response.status_code == 200
    assert response["Content-Type"] == expected["Content-Type"]
    eventually(lambda: losses.dropped == 1, "it is counted")
    assert len(list(folder.iterdir())) == 3


class BoomError(Exception):
    pass


def boom(*args: Any, **kwargs: Any) -> Any:
    raise BoomError


@pytest.mark.parametrize(
    "part",
    [
        "slowhound.on_demand.wrapper.is_allowed",
        "slowhound.on_demand.wrapper.graph_request",
        "slowhound.on_demand.responses.timings",
        "slowhound.on_demand.profiled_request.files_of",
        "slowhound.on_demand.profiled_request.plain",
        "slowhound.flames.sampling.session.start",
        "slowhound.flames.sampling.session.stop",
        "slowhound.flames.render.svg.render",
        "slowhound.flames.render.speedscope.render",
        "slowhound.on_demand.writer.write",
        "slowhound.on_demand.writer.GraphWriter.put",
    ],
)
@pytest.mark.parametrize(
    "url", ["/busy/?hot=0&flames", "/busy/?hot=0&flames=svg", "/streams/?hot=0&flames=svg"]
)
def test_whatever_fails_there_is_a_response(
    client: Client, folder: Path, monkeypatch: pytest.MonkeyPatch, part: str, url: str
) -> None:
    """The response, or the graph, or an error; and the next request can be profiled."""
    monkeypatch.setattr(guard, "loud", False)
    with monkeypatch.context() as broken:
        broken.setattr(part, boom)
        response = client.get(url)
        body = response.getvalue() if response.streaming else response.content  # type: ignore[attr-defined]
        response.close()
        if "timings" not in part or "svg" not in url:
            eventually(lambda: guard.total > 0, "it was counted")
    if response.status_code == 503:
        # A stream can be read only once.
        assert (body, url) == (profiled_request.GRAPH_FAILED.encode(), "/streams/?hot=0&flames=svg")
    else:
        assert response.status_code == 200
        assert body in (b"busy", b"onetwo") or body.startswith(b"<svg")
    guard.reset()
    again = client.get("/shows/?flames")
    assert written(folder, again["Slowhound-Flames"]).event["req_path"] == "/shows/"


def test_forked_child_starts_without_a_profile(client: Client, folder: Path) -> None:
    """Forked during a profile, and while another one is written, it can profile at once."""
    thread = threading.Thread(target=lambda: Client().get("/waits/?flames"))
    thread.start()
    gates["entered"].wait(30)
    writes = profiled_request._worker.writer._at_work
    writes.acquire()
    pid = os.fork()
    if pid == 0:
        try:
            written(folder, client.get("/shows/?flames")["Slowhound-Flames"])
            os._exit(0)
        finally:
            os._exit(2)
    writes.release()
    gates["open"].set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_recorder_that_stops_meanwhile_ends_the_profile(client: Client, folder: Path) -> None:
    """Its request ends without a recorder, and has its graph; the next one can begin."""
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(Client().get("/waits/?flames")))
    thread.start()
    wait_for_samples()
    process.stop()
    gates["open"].set()
    thread.join(30)
    assert share(written(folder, answers[0]["Slowhound-Flames"]), "waits") > 0
    assert client.get("/busy/?flames")["Slowhound-Flames"].startswith("flame_")


def test_switch_interval_is_restored(client: Client, folder: Path) -> None:
    """Also when the view fails."""
    before = sys.getswitchinterval()
    for url in ("/busy/?flames", "/fails/?flames", "/busy/?flames=svg"):
        client.get(url)
        assert sys.getswitchinterval() == before
    assert module._session is None
