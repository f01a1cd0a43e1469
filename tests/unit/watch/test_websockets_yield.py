"""Idle websockets crowd out no request: they do not count, and yield their places."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from slowhound.blackbox.reader import read, survey
from slowhound.core.in_flight import snapshot_in_flight
from slowhound.core.record import Owner, Record
from slowhound.flames.sampling import sampler
from slowhound.instrument.saturation import Saturation
from slowhound.peers.dumps import compose
from slowhound.recorder.process import Recorder, Server
from slowhound.runtime.clocks import clock
from slowhound.watch import samples
from slowhound.watch.wording import describe_others
from tests.harness.resting import resting_recorder

SLOTS = 4


@pytest.fixture
def active(tmp_path: Path) -> Iterator[Recorder]:
    """A recorder with few places, whose hound is at rest."""
    with resting_recorder(tmp_path / "dir", Server("asgi", SLOTS), SAMPLE_AFTER=0.0) as found:
        yield found


def begun(active: Recorder, path: str, *, websocket: bool = False, age: float = 1.0) -> Record:
    record = Record("WEBSOCKET" if websocket else "GET", path, clock.monotonic() - age)
    record.owner, record.long_lived = Owner.WRAP, websocket
    active.begin(record)
    return record


def paths(active: Recorder) -> set[str]:
    """What a reader of the box sees."""
    assert active.own_box.box is not None
    state = read(Path(active.own_box.box.path).read_bytes())
    assert state is not None
    return {each.who.split(b'"path":"')[1].split(b'"')[0].decode() for each in state.pending}


def test_request_gets_the_place_of_a_websocket(active: Recorder) -> None:
    """Also one that the websocket goes on to write to: that is nobody's then."""
    open_ones = [begun(active, f"/ws/{n}", websocket=True) for n in range(SLOTS + 2)]
    assert [each.slot is None for each in open_ones] == [False] * SLOTS + [True] * 2
    requests = [begun(active, f"/r/{n}") for n in range(SLOTS)]
    assert paths(active) == {f"/r/{n}" for n in range(SLOTS)}
    for each in open_ones[:SLOTS]:
        assert each.slot is not None
        for _ in range(3):
            each.slot.query_begins("SELECT 'of a websocket'", 1.0)
            each.slot.view_known("websocket")
            each.slot.write_stack(each.number, b"{}")
        active.finish(each)
    assert active.own_box.box is not None
    state = read(Path(active.own_box.box.path).read_bytes())
    assert state is not None
    assert {(each.view, each.sql, each.query_began) for each in state.pending} == {(b"", b"", 0)}
    assert begun(active, "/one too many").slot is None
    for each in requests:
        active.finish(each)
    assert len(active.own_box.box.free) == SLOTS


def test_requests_are_sampled_first(active: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,200 websockets and a request, the request is sampled each time."""
    monkeypatch.setattr(samples, "SAMPLES_PER_SCAN", 3)
    open_ones = [begun(active, "/ws/", websocket=True) for _ in range(5)]
    request = begun(active, "/r/")
    taken: list[Record] = []
    monkeypatch.setattr(samples.WatchSampler, "_sample", staticmethod(taken.append))
    watch_sampler = samples.WatchSampler()
    for number in range(3):
        watch_sampler.sample([*open_ones, request], clock.monotonic() + number)
    assert [taken[at] for at in (0, 3, 6)] == [request] * 3
    assert {id(each) for each in taken} == {id(each) for each in [*open_ones, request]}


def test_sampler_has_room_for_a_request(active: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """More websockets than it can sample: a request has its flame graph."""
    monkeypatch.setattr(sampler, "MOST_REQUESTS", 2)
    for _ in range(3):
        begun(active, "/ws/", websocket=True)
    request = begun(active, "/r/")
    active.sampler.scan(clock.monotonic())
    assert request.number in active.sampler._samples


def test_worker_with_idle_websockets_is_not_busy(active: Recorder) -> None:
    """``g_w_active`` counts workers that work."""
    begun(active, "/ws/", websocket=True)
    folder = active.config.dir

    def busy() -> int:
        active.own_box.tend()
        saturation = Saturation()
        saturation.sample(survey(folder)[0])
        return saturation.fields["g_w_active"]

    assert busy() == 0
    begun(active, "/r/")
    assert busy() == 1


def test_requests_come_first_where_not_all_are_shown(active: Recorder) -> None:
    """In a dump, and among the other requests of a report."""
    for _ in range(3):
        begun(active, "/ws/", websocket=True, age=9.0)
    request, other = begun(active, "/r/"), begun(active, "/other/")
    with ThreadPoolExecutor(1) as pool:  # it leaves out its own thread, which is the hound's
        dump = pool.submit(compose, 1).result()
    assert [each.path for each in dump.requests[:2]] == ["/r/", "/other/"]
    rows = describe_others(request, snapshot_in_flight(), clock.monotonic())
    assert other.id in rows[0]
