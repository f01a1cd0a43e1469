"""What an application gets wrong with slowhound's names never hurts a response."""

from __future__ import annotations

import pytest

from tests.harness.compare import differing
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually


@pytest.mark.parametrize("worker", ["sync", "gthread"])
def test_failing_instrumenter_never_hurts(serve: Launcher, bare_site: Site, worker: str) -> None:
    """An instrumenter that raises costs its own part; responses and the other one go on."""
    site = serve(worker=worker, instrumenters=True, django={"FAILING_INSTRUMENTER": True})
    assert differing(site, bare_site) == []
    event = site.event("/n1/")
    assert (event["db_queries"], event["app_setups"]) == (7, 1)
    assert "fails" in site.process.stderr
    assert eventually(
        lambda: site.event("/ok/").get("rec_errors"),
        "rec_errors",
        transcript=site.process.transcript,
    )


def test_failing_instrumenter_is_told_of_once(serve: Launcher) -> None:
    """It is reported when it fails first, and not with every request."""
    site = serve(instrumenters=True, django={"FAILING_INSTRUMENTER": True})
    for _ in range(10):
        site.event("/ok/")
    assert (
        1
        <= site.process.stderr.count("call fails") + site.process.stderr.count("set-up fails")
        <= 4
    )
