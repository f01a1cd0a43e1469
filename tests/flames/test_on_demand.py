"""`?flames` under real servers: the graph has the hot function, the response stays the same."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from websockets.sync.client import connect

from slowhound.flames import profile
from slowhound.flames.profile import Profile
from tests.harness.asgi_servers import BY_NAME, AsgiLauncher
from tests.harness.cli import slowhound
from tests.harness.client import Response, without_date
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]

URLS = "tests.flames.on_demand_urls"
SETTINGS = {"FLAMES": {"ALLOW": "token", "EVERY": 0}}
WSGI = ("sync", "gthread", "gevent")
ASGI = ("gunicorn", "uvicorn", "uvicorn-middleware")
# Seconds for a drawing: some tenths of CPU time, in a thread that is late on a busy machine.
DRAWN = 60.0


def start(starts: AsgiLauncher, kind: str) -> Site:
    if kind in WSGI:
        return starts(worker=kind, settings=SETTINGS, django={"ROOT_URLCONF": URLS})
    return starts.asgi(BY_NAME[kind], SETTINGS, URLS)


@pytest.fixture(scope="module", params=[*WSGI, *ASGI])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, template: Path
) -> Iterator[Site]:
    """One server of each kind; only clients with a token may ask."""
    starts = AsgiLauncher(tmp_path_factory.mktemp("flames"), template)
    found = start(starts, request.param)
    found.kind = request.param  # type: ignore[attr-defined]
    yield found
    starts.cleanup()


@pytest.fixture(scope="module")
def token() -> str:
    """As the command prints it."""
    done = slowhound("token", Path(), DJANGO_SETTINGS_MODULE="tests.site.settings")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def is_async(site: Site) -> bool:
    return site.kind in ASGI  # type: ignore[attr-defined]


def ask(site: Site, path: str, token: str, words: str = "") -> Response:
    """Asks until it is not refused: the request before may not have ended."""

    def answer() -> Response | None:
        found = site.get(path, {"Slowhound-Flames": f"{token},{words}"})
        return None if found.headers.get("Slowhound-Flames") == "busy" else found

    return eventually(answer, f"a graph of {path}", deadline=DRAWN)


def written(site: Site, answer: Response) -> Profile:
    """The profile that the response names, once all three files are there."""
    name = answer.headers["Slowhound-Flames"]
    folder = site.dir / "flames"
    eventually(
        (folder / f"{name}.speedscope.json").exists,
        f"the drawings of {name}",
        deadline=DRAWN,
        transcript=site.process.transcript,
    )
    for ending in (".svg", ".speedscope.json", ".flame.json.gz"):
        assert (folder / (name + ending)).stat().st_mode & 0o777 == 0o600
    assert ET.parse(folder / f"{name}.svg").getroot().tag.endswith("svg")
    return profile.load((folder / f"{name}.flame.json.gz").read_bytes())


def hottest(found: Profile) -> str:
    """The innermost function that ran for longest; waits of the server do not count."""
    shares: Counter[str] = Counter()
    for sample in found.samples:
        stack = found.stacks[sample.stack]
        inner = [found.frames[each] for each in stack if found.frames[each].kind == "app"]
        if sample.state == "running":
            shares[inner[-1].name if inner else "-"] += sample.weight  # type: ignore[assignment]
    return shares.most_common(1)[0][0]


def test_graph_has_the_hot_function(site: Site, token: str) -> None:
    """The response is kept, its headers name the graph, and its event as well."""
    paths = {"/hot/": b"hot", "/hot-later/": b"hot later"} if is_async(site) else {"/hot/": b"hot"}
    for path, body in paths.items():
        answer = ask(site, path, token)
        assert (answer.status, answer.body) == (200, body)
        total = answer.headers["Server-Timing"].split(",")[0]
        assert float(total.removeprefix("total;dur=")) > 10
        name = answer.headers["Slowhound-Flames"]
        assert f"/flames/{name}.svg>" in answer.headers["Link"]
        found = written(site, answer)
        assert hottest(found) == "hot_spot"
        assert found.event["req_path"] == path
        assert site.terminal(answer.agent)["flame"] == f"{name}.flame.json.gz"


def test_graph_is_sent_instead(site: Site, token: str) -> None:
    """As an image for a browser."""
    for path in ["/hot/", "/hot-later/"] if is_async(site) else ["/hot/"]:
        answer = ask(site, path, token, "svg")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert "hot_spot" in answer.text
        assert hottest(written(site, answer)) == "hot_spot"


def test_streamed_body_is_in_its_graph(site: Site, token: str) -> None:
    """To its last byte; the client gets it as usual, or the graph in its place."""
    for path in ["/hot-body/", *(["/hot-body-later/"] if is_async(site) else [])]:
        answer = ask(site, path, token)
        assert answer.body == b"firstlast"
        assert hottest(written(site, answer)) == "hot_spot"
        answer = ask(site, path, token, "svg")
        assert "hot_spot" in answer.text


def test_files_and_empty_answers_are_kept(site: Site, token: str) -> None:
    """A file is still sent as a file."""
    for path, size, status in (("/file/300000/", 300_000, 200), ("/empty/", 0, 204)):
        answer = ask(site, path, token)
        assert (answer.status, len(answer.body)) == (status, size)
        written(site, answer)
    answer = ask(site, "/raise/", token)
    assert answer.status == 500
    assert written(site, answer).event["exc_type"]


def test_refused_client_gets_the_same_bytes(site: Site, token: str) -> None:
    """With no token, an invalid one, one for another path, in the query or the header."""
    shop = slowhound(
        "token", Path(), "--path", "/shop", DJANGO_SETTINGS_MODULE="tests.site.settings"
    ).stdout.strip()
    before = sorted(os.listdir(site.dir / "flames")) if (site.dir / "flames").exists() else []
    for path in ("/ok/", "/file/30/", "/empty/", "/no/such/page/"):
        plain = without_date(site.raw_get(f"{path}?flume=svg"))
        for query in ("flames", "flames=svg", f"flames={token[:-1]}", f"flames={shop}"):
            assert without_date(site.raw_get(f"{path}?{query}")) == plain, query
        for header in ("1", "svg", shop, "x" * 4000, "\xff"):
            headers = {"Slowhound-Flames": header}
            assert without_date(site.raw_get(f"{path}?flume=svg", headers=headers)) == plain
    assert (
        sorted(os.listdir(site.dir / "flames")) if (site.dir / "flames").exists() else []
    ) == before


def test_second_client_gets_busy_and_its_response(site: Site, token: str) -> None:
    """One at a time in each worker; a sync worker has no second request."""
    if site.kind == "sync":  # type: ignore[attr-defined]
        return
    gate = site.gate("first")
    first = site.start(f"/gate/first/?flames={token}")
    gate.wait_entered()
    if site.kind in WSGI:  # type: ignore[attr-defined]
        second = site.get(f"/ok/?flames={token}")
        assert (second.body, second.headers["Slowhound-Flames"]) == (b"ok", "busy")
    gate.open()
    assert first.result().headers["Slowhound-Flames"].startswith("flame_")


def test_client_that_disconnects_lets_the_next_one_ask(site: Site, token: str) -> None:
    """During a body; under ASGI, Django makes all of a sync body before it sends it."""
    path = "/parts-endless/" if is_async(site) else "/stream-endless/"
    wire = site.open(f"{path}?flames={token}")
    wire.read_until(b"begin")
    wire.reset()
    assert hottest(written(site, ask(site, "/hot/", token))) == "hot_spot"


def test_killed_worker_leaves_no_files(tmp_path: Path, template: Path, token: str) -> None:
    """The next worker makes graphs."""
    starts = Launcher(tmp_path, template)
    try:
        site = starts(settings=SETTINGS, django={"ROOT_URLCONF": URLS})
        first = site.open(f"/gate/killed/?flames={token}")
        site.gate("killed").wait_entered()
        os.kill(site.worker_pids()[0], signal.SIGKILL)
        first.read_what_comes()
        assert hottest(written(site, ask(site, "/hot/", token))) == "hot_spot"
        assert len(os.listdir(site.dir / "flames")) == 3
    finally:
        starts.cleanup()


def test_graph_is_complete_when_the_server_stops(
    tmp_path: Path, template: Path, token: str
) -> None:
    """A worker that ends waits for the files; the command line finds them by the request."""
    starts = Launcher(tmp_path, template)
    try:
        site = starts(settings=SETTINGS, django={"ROOT_URLCONF": URLS})
        answer = site.get(f"/hot/?flames={token}")
        site.stop()
        assert hottest(written(site, answer)) == "hot_spot"
        request = site.terminal(answer.agent)["req_id"]
        done = slowhound("flame", site.dir, request, "--format", "collapsed")
        assert "hot_spot" in done.stdout, done.stderr
    finally:
        starts.cleanup()


def test_websockets_have_no_graph(tmp_path: Path, template: Path, token: str) -> None:
    """They work as usual, also with the parameter."""
    starts = AsgiLauncher(tmp_path, template)
    try:
        site = starts.asgi(BY_NAME["uvicorn"], SETTINGS, URLS)
        with connect(f"ws://{site.address.authority}/echo/?flames={token}") as socket:
            socket.send("hello")
            assert socket.recv() == "hello"
        assert not (site.dir / "flames").exists()
    finally:
        starts.cleanup()
