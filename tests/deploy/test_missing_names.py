"""A Gunicorn without its undocumented names serves, and slowhound logs each missing one."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest

from tests.harness.hidden_names import ON_SERVERS
from tests.harness.launch import Launcher
from tests.harness.names_of_others import rows
from tests.harness.site import Site
from tests.harness.waiting import eventually

CONF = """
from tests.harness.hidden_names import ON_SERVERS, hide, hide_words

# Names within a function are searched for before the function itself is hidden.
for name in sorted(ON_SERVERS, key=lambda each: ":" not in each):
    hide(name)
hide_words()

from slowhound.gunicorn import *
logger_class = Logger
accesslog = "-"
"""
SAID = re.compile(r"slowhound: the installed version has no (\S+): (.+)")
# Names of the other kind of worker, which each server lacks.
OF_THE_OTHER = {
    "sync": {
        "gunicorn.workers.gthread.ThreadWorker",
        "gunicorn.workers.gthread.ThreadWorker:tpool",
    },
    "gthread": {"gunicorn.workers.sync.SyncWorker"},
}


def logged_missing(site: Site) -> Counter[tuple[str, str]]:
    """The names that slowhound logs as missing, with how often."""
    return Counter(SAID.findall(site.process.stderr))


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_gunicorn_without_all_names_serves(serve: Launcher, worker: str) -> None:
    """Gunicorn serves before and after a worker's death; each process logs each name once."""
    site = serve(worker=worker, wired=False, conf=CONF)
    assert site.get("/ok/").status == 200
    assert site.event("/ok/")["resp_status"] == 200
    (victim,) = site.worker_pids()
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: site.worker_pids() not in ([], [victim]), "another worker")
    assert site.event("/ok/")["resp_status"] == 200
    assert site.stop() == 0

    table = {row.name: row.without for row in rows("Libraries")}
    wanted = {(name, table[name]) for name in set(ON_SERVERS) - OF_THE_OTHER[worker]}
    found = logged_missing(site)
    assert set(found) == wanted
    # The arbiter, and two workers.
    assert max(found.values()) <= 2
    assert "Traceback" not in site.process.stderr
