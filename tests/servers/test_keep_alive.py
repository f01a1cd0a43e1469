"""Under every server, each of 1,000 mixed requests over 10 connections has its own event."""

from __future__ import annotations

import json
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.harness import uwsgi
from tests.harness.accounts import terminal_events
from tests.harness.asgi_servers import BY_NAME, Asgi, AsgiLauncher
from tests.harness.cli import in_flight
from tests.harness.keep_alive import PlannedRequest, send
from tests.harness.launch import Launcher, Setup, answering
from tests.harness.ports import unused_port
from tests.harness.process import Process
from tests.harness.recorded import Event
from tests.harness.site import Site
from tests.harness.waiting import eventually

URLS = "tests.site.mixed_urls"
REQUESTS, CONNECTIONS = 1000, 10
MIDDLEWARE = "slowhound.middleware.SlowhoundMiddleware"
# Seconds by which the system may adjust one of two clocks meanwhile.
CLOCKS = 0.005
Start = Callable[[AsgiLauncher], Site]


@dataclass(frozen=True)
class Way:
    """A server, and the parts of slowhound in it."""

    name: str
    start: Start
    asgi: bool = False
    kept: bool = True
    pipelined: bool = True
    connections: int = CONNECTIONS
    # It sends parts of the body for HEAD, so that no request can follow.
    spoils_head: bool = False

    def __str__(self) -> str:
        return self.name


def gunicorn(worker: str, **wishes: Any) -> Start:
    """Gunicorn with slowhound's hooks, unless the wishes change that."""

    def start(launcher: AsgiLauncher) -> Site:
        return launcher(worker=worker, django={"ROOT_URLCONF": URLS}, **wishes)

    return start


def asgi(server: Asgi) -> Start:
    """An ASGI server, as the tests of ASGI servers start it."""

    def start(launcher: AsgiLauncher) -> Site:
        return launcher.asgi(server, {}, URLS)

    return start


def own_port(launcher: Launcher, *argv: str) -> Site:
    """A WSGI server with a given port, and the middleware alone."""
    setup = Setup(django={"ROOT_URLCONF": URLS})
    home, folder = launcher._home(setup)
    bind = f"127.0.0.1:{unused_port()}"
    command = [sys.executable, "-m", *(each.format(bind, *bind.split(":")) for each in argv)]
    process = Process(command, home, setup.environment(home, folder))
    return launcher._site(process, home, folder, lambda: answering(bind))


def under_uwsgi(launcher: Launcher) -> Site:
    options = ["--processes", "2", "--threads", "3"]
    return uwsgi.serve(launcher, uwsgi.installed(), options, django={"ROOT_URLCONF": URLS})


def under_wsgiref(launcher: Launcher) -> Site:
    return launcher.wsgiref(django={"ROOT_URLCONF": URLS})


def under_runserver(launcher: Launcher) -> Site:
    return own_port(launcher, "django", "runserver", "--noreload", "{0}")


def under_granian(launcher: Launcher) -> Site:
    options = ("--host", "{1}", "--port", "{2}", "--workers", "1", "--blocking-threads", "3")
    return own_port(launcher, "granian", "--interface", "wsgi", *options, Setup.app)


def both(server: Asgi, **differs: Any) -> list[Way]:
    """Two ways: wrapped and with the middleware, and with the middleware alone."""
    alone = replace(server, name=f"{server.name}-middleware", wrapped=False)
    return [Way(each.name, asgi(each), asgi=True, **differs) for each in (server, alone)]


def uvicorn(http: str) -> Asgi:
    known = BY_NAME["uvicorn"]
    return replace(known, name=f"uvicorn-{http}", command=(*known.command, "--http", http))


WAYS = [
    Way("gunicorn-sync", gunicorn("sync", workers=2), kept=False, pipelined=False),
    Way("gunicorn-gthread", gunicorn("gthread")),
    Way("gunicorn-gthread-middleware", gunicorn("gthread", wired=False)),
    # It drops pipelined requests, and sends the body for HEAD as well.
    Way(
        "gunicorn-23-gthread",
        gunicorn("gthread", gunicorn="23"),
        pipelined=False,
        spoils_head=True,
    ),
    Way("gunicorn-gevent", gunicorn("gevent")),
    Way("gunicorn-asgi", asgi(BY_NAME["gunicorn-hooks"]), asgi=True),
    Way("gunicorn-asgi-wrapped", asgi(BY_NAME["gunicorn"]), asgi=True),
    *both(uvicorn("h11")),
    *both(uvicorn("httptools")),
    *both(BY_NAME["hypercorn"]),
    *both(BY_NAME["daphne"], spoils_head=True),  # daphne 4.2 buffers all parts but the first
    *both(BY_NAME["granian"]),
    Way("granian-wsgi", under_granian),
    Way("uwsgi", under_uwsgi, kept=False, pipelined=False),
    # Its backlog is five connections.
    Way("wsgiref", under_wsgiref, kept=False, pipelined=False, connections=5),
    # It closes the connection after a stream.
    Way("runserver", under_runserver, pipelined=False),
]


def planned_requests(chooses: random.Random, *, asgi: bool) -> list[PlannedRequest]:
    """Requests of every kind, whose views sleep for different times, or mostly not at all."""
    a = "a" if asgi else ""

    def ms() -> int:
        return chooses.choice((0, 0, 0, 0, 2, 5, 20))

    def size() -> int:
        return chooses.choice((0, 1, 100, 1000, 9000, 70_000))

    def plain(prefix: str = "", method: str = "GET") -> PlannedRequest:
        expected = size()
        path = f"/{prefix}plain/{expected}/{ms()}/"
        return PlannedRequest(path, size=0 if method == "HEAD" else expected, method=method)

    def stream(prefix: str, method: str = "GET") -> PlannedRequest:
        chunks, each = chooses.randint(0, 4), chooses.choice((1, 500, 20_000))
        expected = 0 if method == "HEAD" else chunks * each
        return PlannedRequest(
            f"/{prefix}stream/{chunks}/{each}/{ms()}/", size=expected, method=method
        )

    def late() -> PlannedRequest:
        expected = 1 + size()
        return PlannedRequest(f"/{a}late/{expected}/{chooses.choice((5, 60))}/", size=expected)

    def file(method: str = "GET") -> PlannedRequest:
        expected = chooses.choice((1, 3000, 90_000))
        return PlannedRequest(
            f"/file/{expected}/", size=0 if method == "HEAD" else expected, method=method
        )

    def posted() -> PlannedRequest:
        expected = 1 + size()
        ask = PlannedRequest("/posted/", size=expected, method="POST", body=b"b" * expected)
        # Under WSGI, Django reads no body without a length.
        ask.chunked = asgi and chooses.random() < 0.3
        return ask

    def leaves() -> PlannedRequest:
        return PlannedRequest(f"/{a}endless/", leaves=chooses.choice(("close", "reset")))

    kinds: list[tuple[int, Callable[[], PlannedRequest]]] = [
        (30, lambda: plain(chooses.choice(("", a)))),
        (4, lambda: plain(a, "HEAD")),
        (18, lambda: stream(a)),
        (3, lambda: stream("")),
        (2, lambda: stream(a, "HEAD")),
        (8, late),
        (6, file),
        (2, lambda: file("HEAD")),
        (6, posted),
        (5, lambda: PlannedRequest("/unchanged/", 304, 0)),
        (5, lambda: PlannedRequest(f"/{chooses.choice(('', a))}fails/{ms()}/", 500)),
        (4, lambda: PlannedRequest("/missing/", 404)),
        (3, lambda: PlannedRequest("/no/such/page/", 404, has_view=False)),
        (1, lambda: PlannedRequest("/calls/", size=6, calls=True)),
        (2, leaves),
    ]
    weights = [weight for weight, _ in kinds]
    chosen = chooses.choices([make for _, make in kinds], weights, k=REQUESTS)
    return [make() for make in chosen]


def seen_by_views(site: Site) -> dict[str, list[dict[str, Any]]]:
    """What the views have written, by the agent of their request."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for text in (site.scratch / "seen.jsonl").read_text().splitlines():
        line = json.loads(text)
        found[line["agent"]].append(line)
    return found


def check_its_own(ask: PlannedRequest, event: Event, seen: list[dict[str, Any]]) -> None:
    """Checks that id, status, size and time are those of this request."""
    about = f"{ask}\n{event}\n{seen}"
    assert {line["id"] for line in seen} == ({event["req_id"]} if ask.has_view else set()), about
    assert event["req_path"] == ask.path, about
    assert event["req_method"] == ask.method, about
    assert ask.answered == ask.status == event["resp_status"], about
    if ask.leaves:
        assert event["resp_outcome"] in ("disconnect", "cancelled"), about
    else:
        assert event["resp_outcome"] == ("error" if ask.status == 500 else "ok"), about
        assert event["resp_bytes"] == ask.received, about
        assert ask.size is None or ask.received == ask.size, about
    whole = event["resp_time"] + event.get("resp_after_time", 0.0)
    assert whole >= sum(line["took"] for line in seen), about
    assert whole <= event["ts"] - ask.sent_at + CLOCKS, about


@pytest.fixture
def launcher(tmp_path: Path, template: Path) -> Any:
    starts = AsgiLauncher(tmp_path, template)
    yield starts
    starts.cleanup()


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_request_has_its_own_event(way: Way, launcher: AsgiLauncher) -> None:
    """The views' ids and the events' ids are the same, and nothing is left in flight."""
    site = way.start(launcher)
    sent = planned_requests(random.Random(way.name), asgi=way.asgi)
    for ask in sent:
        ask.last = way.spoils_head and ask.method == "HEAD"
    opened = send(site.address, sent, way.connections, kept=way.kept, pipelined=way.pipelined)
    assert (opened < len(sent) * 0.75) == way.kept
    inner = [ask for ask in sent if ask.calls]
    expected = len(sent) + len(inner)
    eventually(
        lambda: len(terminal_events(site)) >= expected and not in_flight(site.dir),
        "an event of each, and nothing in flight",
        transcript=lambda: (
            f"{lost(site, sent)}\n{in_flight(site.dir)}\n{site.process.transcript()}"
        ),
    )
    events = terminal_events(site)
    by_agent = {event["req_user_agent"]: event for event in events}
    assert len(events) == len(by_agent) == len({event["req_id"] for event in events}) == expected
    seen = seen_by_views(site)
    for ask in sent:
        check_its_own(ask, by_agent[ask.agent], seen[ask.agent])
    for ask in inner:
        of_it = replace(ask, agent=ask.inner, path="/plain/3/0/", received=3, size=3)
        check_its_own(of_it, by_agent[ask.inner], seen[ask.inner])
    assert len(terminal_events(site)) == expected


def lost(site: Site, sent: list[PlannedRequest]) -> str:
    """The requests that have no event."""
    agents = {event["req_user_agent"] for event in terminal_events(site)}
    return "\n".join(str(ask) for ask in sent if ask.agent not in agents)
