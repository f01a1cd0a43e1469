"""An arbiter that is root, with workers that run as nobody."""

from __future__ import annotations

import os
import pwd
import signal
from pathlib import Path

import pytest

from tests.deploy.conftest import Deploy
from tests.harness.accounts import check_boxes_are_of_running_workers, check_once
from tests.harness.site import Site
from tests.harness.waiting import eventually

NOBODY = pwd.getpwnam("nobody").pw_uid


def died_in_flight(site: Site) -> dict[str, object]:
    """The crash event of a request whose worker was killed."""
    gate = site.gate("killed")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    os.kill(site.worker_pids()[0], signal.SIGKILL)
    wire.close()
    event = site.terminal(wire.agent)
    check_once(site, [wire.agent])
    return event


@pytest.mark.parametrize(
    ("preload", "preset"), [(True, True), (False, False)], ids=["preload-DIR", "workers-no DIR"]
)
def test_root_arbiter_with_workers_of_nobody(
    unprivileged: Deploy, preload: bool, preset: bool
) -> None:
    """Everything is recorded, also by the arbiter after a death, and all files belong to nobody."""
    folder = unprivileged.folder / "record"
    settings = {"DIR": str(folder)}
    if preset:
        folder.mkdir(mode=0o700)
        os.chown(folder, NOBODY, NOBODY)
    else:
        folder.parent.chmod(0o1777)
        settings = {"DIR": None}
    site = unprivileged(
        settings=settings,
        env={"TMPDIR": str(folder.parent)},
        gunicorn_args=["--preload"] if preload else [],
    )
    answer = site.get("/ok/")
    site.dir = folder if preset else next(folder.parent.glob(f"slowhound-{NOBODY}-*"))
    check_once(site, [answer.agent])
    check_boxes_are_of_running_workers(site)
    assert died_in_flight(site)["event_type"] == "crash"
    site.get("/ok/")
    check_boxes_are_of_running_workers(site)
    owners = {path.stat().st_uid for path in [site.dir, *site.dir.rglob("*")]}
    assert owners == {NOBODY}
    assert all(path.stat().st_mode & 0o077 == 0 for path in site.dir.rglob("*"))
    assert site.warnings() == []


def test_file_of_lines_is_written_by_root_for_nobody(unprivileged: Deploy) -> None:
    """A STREAM file keeps its owner when the arbiter writes the line of an ended worker."""
    target = unprivileged.folder / "lines" / "lines.log"
    target.parent.mkdir()
    os.chown(target.parent, NOBODY, NOBODY)
    folder = unprivileged.folder / "record"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    site = unprivileged(settings={"DIR": str(folder), "STREAM": str(target)})
    site.dir = folder
    site.terminal(site.get("/ok/").agent)
    os.unlink(target)  # rotated away just before the death
    gate = site.gate("rotated")
    wire = site.open(f"/gate/{gate.name}/")
    gate.wait_entered()
    os.kill(site.worker_pids()[0], signal.SIGKILL)
    wire.close()
    assert site.terminal(wire.agent)["event_type"] == "crash"
    eventually(target.exists, "a line of the ended worker")
    assert target.stat().st_uid == NOBODY


HOSTILE = """\
def post_worker_init(worker):
    worker.slowhound_mailbox.put_path({victim!r})
"""


def test_worker_cannot_make_the_arbiter_remove_a_file(unprivileged: Deploy, tmp_path: Path) -> None:
    """The path that a worker gives for its box does not let it remove files of root."""
    victim = unprivileged.folder / "of-root"
    victim.write_text("keep")
    victim.chmod(0o600)
    folder = unprivileged.folder / "record"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    site = unprivileged(settings={"DIR": str(folder)}, conf=HOSTILE.format(victim=str(victim)))
    site.get("/ok/")
    first = site.worker_pids()[0]
    os.kill(first, signal.SIGKILL)
    while site.event("/ok/")["pid"] == first:
        pass
    eventually(lambda: len(site.worker_pids()) == 1, "the end of the arbiter's own child")
    assert victim.read_text() == "keep"
