"""Under real servers: a request that lasts gets a flame graph automatically."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.flames.files import FlameFiles
from slowhound.flames.profile import Profile
from tests.harness.asgi_servers import BY_NAME, AsgiLauncher
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]
# A request that is reported has been sampled for a while.
SOON = {"SAMPLE_AFTER": 0.1, "SLOW_AFTER": 0.5}


def profile_of(site: Site, event: dict[str, Any]) -> Profile:
    """The profile that an event names, once the hound has written it."""
    files = FlameFiles(str(site.dir), 10**9)

    def read() -> Profile | None:
        try:
            found = files.read(event["flame"])
            return found if "resp_time" in found.event else None
        except FileNotFoundError:
            return None

    return eventually(read, "the profile's file", transcript=site.process.transcript)


def lasting(site: Site, *paths: str) -> list[dict[str, Any]]:
    """The terminal events of requests that wait at a gate, together, until all are reported."""
    site.get("/ok/")  # or the first one would wait for imports instead
    name = paths[0].split("/")[-2]
    gate = site.gate(name)
    answers = [site.start(path) for path in paths]
    gate.wait_entered(len(paths))
    for path in paths:
        site.wait_event(event_type="slow", req_path=path)
    gate.open()
    found = [site.terminal(answer.result().agent) for answer in answers]
    for event in found:
        assert site.wait_event(event_type="slow", req_id=event["req_id"])["flame"] == event["flame"]
    return found


def own(profile: Profile) -> set[str]:
    """All functions of the application."""
    return {frame.name for frame in profile.frames if frame.kind == "app"}


def check(profile: Profile, event: dict[str, Any]) -> None:
    """The profile is of this request, and its samples cover its duration."""
    assert profile.event["req_id"] == event["req_id"]
    assert sum(each.weight for each in profile.samples) == pytest.approx(profile.duration)
    assert 0 < profile.duration <= event["resp_time"]
    assert profile.accuracy.taken > 0


@pytest.fixture(scope="module", params=["sync", "gthread"])
def threads(request: pytest.FixtureRequest, serve_module: Launcher) -> Site:
    """A site with each worker class that has threads."""
    return serve_module(worker=request.param, settings=SOON)


def test_view_of_a_thread(threads: Site) -> None:
    """Its graph shows the view, and what its thread waited for."""
    (event,) = lasting(threads, "/gate/of-a-thread/")
    profile = profile_of(threads, event)
    check(profile, event)
    assert {"gated", "wait_at"} <= own(profile)
    assert "waiting: sleep" in {frame.name for frame in profile.frames if frame.kind == "wait"}


def test_file_is_private(threads: Site) -> None:
    """A quick request has none."""
    (event,) = lasting(threads, "/gate/private/")
    profile_of(threads, event)
    path = Path(threads.dir, "flames", event["flame"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert "flame" not in threads.event("/ok/")


def test_greenlets_have_a_graph_each(serve: Launcher) -> None:
    """Two requests alternate in one thread; neither has the other's view."""
    site = serve(worker="gevent", settings=SOON)
    one, other = lasting(site, "/gate/turns/", "/query-then-gate/turns/")
    for event, view, not_this in (
        (one, "gated", "query_then_gate"),
        (other, "query_then_gate", "gated"),
    ):
        profile = profile_of(site, event)
        check(profile, event)
        assert view in own(profile)
        assert not_this not in own(profile)


@pytest.fixture(scope="module")
def asgi(tmp_path_factory: pytest.TempPathFactory, template: Path) -> Iterator[Site]:
    """A site under uvicorn."""
    starts = AsgiLauncher(tmp_path_factory.mktemp("asgi"), template)
    yield starts.asgi(BY_NAME["uvicorn"], SOON)
    starts.cleanup()


def test_tasks_are_followed_to_what_they_await(asgi: Site) -> None:
    """Through gather, and into the thread of a sync function; each has its own."""
    ways = ("gather", "thread", "straight")
    for way, event in zip(
        ways, lasting(asgi, *(f"/way/{way}/tasks/" for way in ways)), strict=True
    ):
        profile = profile_of(asgi, event)
        check(profile, event)
        assert f"{way}_leaf" in own(profile)
        assert not {f"{each}_leaf" for each in ways if each != way} & own(profile)
        assert not any("select" in frame.name for frame in profile.frames)
