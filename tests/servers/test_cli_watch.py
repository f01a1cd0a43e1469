"""`slowhound watch` changes what is slow in running workers, for a while."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.harness.accounts import boxes, check_boxes_are_of_running_workers
from tests.harness.gil import wait_for_hounds
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually
from tests.harness.watch_command import watch


def set_threshold(site: Site, seconds: str, duration: str, *more: str) -> None:
    assert site.get("/ok/").status == 200  # from now on its folder exists
    assert watch(site, "--slow-after", seconds, "--for", duration, *more) == (0, "")


def is_slow(site: Site, path: str) -> bool:
    """Whether a short request was reported as slow."""
    return site.event(path).get("slow_after") is not None


def wait_for_each(site: Site, threshold: float | None, path: str = "/sleep/0.2/") -> None:
    """Wait until a short request has this threshold in each worker."""
    check_boxes_are_of_running_workers(site)
    pids = {int(name.partition("-")[0]) for name in boxes(site)}
    assert len(pids) == 2
    for pid in pids:
        with stopped(pids - {pid}):
            eventually(
                lambda: site.event(path).get("slow_after") == threshold,
                f"a threshold of {threshold} in {pid}",
            )


@pytest.fixture(scope="module")
def both(serve_module: Launcher) -> Site:
    """Two workers."""
    slow_after = {"cpu": 0.1, "*": 60}
    site = serve_module(worker="gthread", workers=2, settings={"SLOW_AFTER": slow_after})
    wait_for_hounds(site)  # of both workers
    return site


@pytest.fixture
def site(both: Site) -> Iterator[Site]:
    """The same, without overrides before and after the test."""
    yield both
    watch(both, "--off")
    wait_for_each(both, None)


def test_threshold_is_lowered_in_every_running_worker(site: Site) -> None:
    """Without a restart; the report comes while the request still runs."""
    assert not is_slow(site, "/sleep/0.2/")
    set_threshold(site, "0.1", "10m")
    wait_for_each(site, 0.1)
    gate = site.gate("reported")
    answer = site.start("/gate/reported/")
    assert site.wait_report("/gate/reported/")
    gate.open()
    answer.result()
    assert watch(site, "--off") == (0, "")
    eventually(lambda: not is_slow(site, "/sleep/0.2/"), "the old threshold")


def test_threshold_for_one_view_leaves_the_others(site: Site) -> None:
    """They keep the threshold of the settings."""
    set_threshold(site, "0.1", "10m", "--view", "nap")
    wait_for_each(site, 0.1, "/nap/0.2/")
    assert not is_slow(site, "/sleep/0.2/")


def test_threshold_can_be_raised(site: Site) -> None:
    """For fewer reports."""
    assert is_slow(site, "/cpu/")
    set_threshold(site, "60", "10m")
    eventually(lambda: not is_slow(site, "/cpu/"), "no slow request")


def test_it_ends_by_itself(site: Site) -> None:
    """Without `--off`."""
    set_threshold(site, "0.1", "10m")
    eventually(lambda: is_slow(site, "/sleep/0.2/"), "a slow request")
    set_threshold(site, "0.1", "1s")
    eventually(lambda: watch(site)[0] == 1, "no threshold is changed")
    eventually(lambda: not is_slow(site, "/sleep/0.2/"), "the old threshold")


def test_worker_that_starts_later_has_it_too(site: Site) -> None:
    """From its first request on."""
    set_threshold(site, "0.1", "10m")
    first = set(site.worker_pids())
    os.kill(min(first), signal.SIGTERM)
    eventually(lambda: set(site.worker_pids()) - first, "a new worker")
    eventually(lambda: min(first) not in site.worker_pids(), "the end of the old one")
    with stopped({max(first)}):
        found = site.event("/sleep/0.2/")
    assert found["pid"] not in first
    assert found["slow_after"] == 0.1
