"""`slowhound watch` changes what is slow in running workers, for a while."""

from __future__ import annotations

from tests.harness.cli import slowhound
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually


def set_threshold(site: Site, seconds: str, duration: str, *more: str) -> None:
    assert site.get("/ok/").status == 200  # from now on its folder is there
    done = slowhound("watch", site.dir, "--slow-after", seconds, "--for", duration, *more)
    assert (done.returncode, done.stderr) == (0, "")


def is_slow(site: Site, path: str) -> bool:
    """One request that takes a little, and whether it was slow."""
    return site.event(path).get("slow_after") is not None


def test_threshold_is_lowered_in_every_running_worker(serve: Launcher) -> None:
    """Without a restart; the report comes while the request still runs."""
    site = serve(worker="gthread", workers=2)
    assert not is_slow(site, "/sleep/0.2/")
    set_threshold(site, "0.1", "10m")
    slow: set[int] = set()

    def everywhere() -> bool:
        event = site.event("/sleep/0.2/")
        if event.get("slow_after") == 0.1:
            slow.add(event["pid"])
        return slow == set(site.worker_pids())

    eventually(everywhere, "a slow request in each worker")
    gate = site.gate("reported")
    answer = site.start("/gate/reported/")
    assert site.wait_report("/gate/reported/")
    gate.open()
    answer.result()
    assert slowhound("watch", site.dir, "--off").returncode == 0
    eventually(lambda: not is_slow(site, "/sleep/0.2/"), "the old threshold")


def test_threshold_of_one_view_is_for_this_one(serve: Launcher) -> None:
    """All others keep theirs."""
    site = serve()
    set_threshold(site, "0.1", "10m", "--view", "nap")
    eventually(lambda: is_slow(site, "/nap/0.2/"), "a slow nap")
    assert not is_slow(site, "/sleep/0.2/")


def test_threshold_can_be_raised(serve: Launcher) -> None:
    """When there are more reports than anybody wants."""
    site = serve(settings={"SLOW_AFTER": 0.1})
    assert is_slow(site, "/sleep/0.2/")
    set_threshold(site, "60", "10m")
    eventually(lambda: not is_slow(site, "/sleep/0.2/"), "no slow request")


def test_it_ends_by_itself(serve: Launcher) -> None:
    """Without anybody who ends it."""
    site = serve()
    set_threshold(site, "0.1", "10m")
    eventually(lambda: is_slow(site, "/sleep/0.2/"), "a slow request")
    set_threshold(site, "0.1", "1s")
    eventually(lambda: not is_slow(site, "/sleep/0.2/"), "the old threshold")
    assert slowhound("watch", site.dir).returncode == 1


def test_worker_that_starts_later_has_it_too(serve: Launcher) -> None:
    """From its first second on."""
    site = serve(gunicorn_args=["--max-requests", "3"])
    set_threshold(site, "0.1", "10m")
    first = set(site.worker_pids())
    eventually(
        lambda: site.get("/ok/").status == 200 and not first & set(site.worker_pids()),
        "all workers replaced",
    )
    assert site.event("/sleep/0.2/")["slow_after"] == 0.1
