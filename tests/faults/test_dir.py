"""A DIR that is missing, refused, full or removed never hurts, and is logged once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.conftest import Tmpfs
from tests.harness.compare import differing
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually

# The box, the events (twice: a line cut off, and none at all), the reports and the lines.
KINDS = 5
WORKERS = ["sync", "gthread"]
# A folder is opened in the same way in both kinds of workers, so they are tested in turn.
UNUSABLE = {
    "a file in its place": "sync",
    "below a file": "gthread",
    "where nothing can be made": "sync",
    "a link": "gthread",
    "a link to nowhere": "sync",
    "another user's": "gthread",
    "writable by all": "sync",
    "immutable": "gthread",
    "read-only": "sync",
}


def serve_in(serve: Launcher, folder: Path, worker: str = "sync") -> Site:
    return serve(worker=worker, settings={"DIR": str(folder), "SLOW_AFTER": 0.2})


def dropped(site: Site) -> int:
    """The losses that the newest line counts."""
    return int(site.terminal_line(site.get("/ok/").agent).get("rec_dropped", "-").replace("-", "0"))


def check_loss_is_counted(site: Site) -> None:
    eventually(
        lambda: dropped(site) >= 1,
        "rec_dropped in a later line",
        transcript=site.process.transcript,
    )


def check_logged_once(site: Site) -> None:
    """Checks for at least one warning, none twice, and no more after further requests."""
    warnings = site.warnings()
    assert 1 <= len(warnings) == len(set(warnings)) <= KINDS, site.process.stderr


def contents(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*")) if folder.is_dir() else []


def test_missing_folder_is_made(serve: Launcher, bare_site: Site, tmp_path: Path) -> None:
    """A DIR that does not exist is made, for its owner alone, and used."""
    folder = tmp_path / "not" / "yet" / "there"
    site = serve_in(serve, folder)
    assert differing(site, bare_site) == []
    assert site.event("/ok/")["resp_status"] == 200
    assert folder.stat().st_mode & 0o777 == 0o700
    assert site.warnings() == []


@pytest.mark.parametrize(
    ("unusable", "worker"), UNUSABLE.items(), ids=UNUSABLE, indirect=["unusable"]
)
def test_unusable_folder_never_hurts(
    serve: Launcher, bare_site: Site, unusable: Path, worker: str
) -> None:
    """With an unusable DIR, responses and lines are the same, and the loss is counted."""
    before = contents(unusable)
    site = serve_in(serve, unusable, worker)
    workers = site.worker_pids()
    assert differing(site, bare_site) == []
    check_loss_is_counted(site)
    check_logged_once(site)
    assert site.worker_pids() == workers
    assert contents(unusable) == before
    assert site.stray_output() == []


@pytest.mark.parametrize(("free", "worker"), [(0, "sync"), (4096, "gthread"), (24576, "sync")])
def test_full_folder_never_hurts(
    serve: Launcher, bare_site: Site, tmpfs: Tmpfs, worker: str, free: int
) -> None:
    """A file system that is full, or almost, at the start costs events, not responses."""
    tmpfs.fill(free)
    site = serve_in(serve, tmpfs.path, worker)
    workers = site.worker_pids()
    assert differing(site, bare_site) == []
    check_loss_is_counted(site)
    check_logged_once(site)
    assert site.worker_pids() == workers


def test_folder_that_fills_up_never_hurts(serve: Launcher, bare_site: Site, tmpfs: Tmpfs) -> None:
    """When the space runs out, responses are the same; the loss is counted once there is room."""
    site = serve_in(serve, tmpfs.path, "gthread")
    workers = site.worker_pids()
    site.get("/ok/")
    tmpfs.fill()
    for _ in range(30):
        assert site.get("/ok/").text == "ok"
    assert differing(site, bare_site) == []
    check_loss_is_counted(site)
    check_logged_once(site)
    tmpfs.empty()
    site.torn_expected = True
    eventually(lambda: newest_event_counts_the_loss(site), "the loss in a later event")
    assert site.worker_pids() == workers


def newest_event_counts_the_loss(site: Site) -> bool:
    """Whether a new request is in the segments, and its event counts lost ones."""
    agent = site.get("/ok/").agent
    site.terminal_line(agent)
    return any(e.get("req_user_agent") == agent and e["rec_dropped"] for e in site.events())


def test_folder_that_is_replaced_never_hurts(
    serve: Launcher, bare_site: Site, tmpfs: Tmpfs
) -> None:
    """A folder that becomes unwritable costs events, not responses."""
    # Open files keep a file system from becoming read-only, so a file replaces the folder.
    folder = tmpfs.path / "record"
    site = serve_in(serve, folder)
    assert site.event("/ok/")["resp_status"] == 200
    folder.rename(tmpfs.path / "gone")
    folder.write_text("in the way")
    workers = site.worker_pids()
    assert differing(site, bare_site) == []
    check_loss_is_counted(site)
    assert site.worker_pids() == workers


@pytest.mark.parametrize(
    ("part", "worker"),
    [("", "gthread"), ("events", "sync"), ("reports", "gthread"), ("boxes", "sync")],
)
def test_folder_that_is_removed_never_hurts(
    serve: Launcher, bare_site: Site, worker: str, part: str
) -> None:
    """A DIR, or a part of it, that is removed is made again, or the loss is counted."""
    site = serve(worker=worker, settings={"SLOW_AFTER": 0.2})
    assert site.event("/ok/")["resp_status"] == 200
    workers = site.worker_pids()
    shutil.rmtree(site.dir / part, ignore_errors=True)
    assert differing(site, bare_site) == []
    eventually(
        lambda: recorded_or_counted(site),
        "an event or rec_dropped",
        transcript=site.process.transcript,
    )
    assert site.worker_pids() == workers
    assert len(site.warnings()) == len(set(site.warnings())) <= KINDS


def recorded_or_counted(site: Site) -> bool:
    """Whether a new request is in the segments, or the lines count a loss."""
    agent = site.get("/ok/").agent
    line = site.terminal_line(agent)
    stored = any(event.get("req_user_agent") == agent for event in site.events())
    return stored or line.get("rec_dropped", "-") not in ("-", "0")


def test_stream_that_is_full_never_hurts(serve: Launcher, bare_site: Site) -> None:
    """Lines that cannot be written are counted in the events."""
    site = serve(settings={"STREAM": "/dev/full", "SLOW_AFTER": 0.2})
    assert differing(site, bare_site) == []
    eventually(
        lambda: site.event("/ok/").get("rec_dropped"),
        "rec_dropped",
        transcript=site.process.transcript,
    )
    check_logged_once(site)


@pytest.mark.parametrize("worker", WORKERS)
def test_healthy_folder_never_hurts(serve: Launcher, bare_site: Site, worker: str) -> None:
    """With a healthy DIR each response is the same, byte for byte, as without slowhound."""
    site = serve(worker=worker, settings={"SLOW_AFTER": 0.2, "LOCALS": True})
    assert differing(site, bare_site) == []
    assert site.warnings() == [], site.process.transcript()
    assert not site.event("/ok/").get("rec_dropped")
    assert not site.event("/ok/").get("rec_errors")
