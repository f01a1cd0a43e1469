"""Errors of an application in its use of slowhound never hurt a response."""

from __future__ import annotations

from tests.harness.compare import differing
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.waiting import eventually


def test_failing_instrumenter_never_hurts(serve: Launcher, bare_site: Site) -> None:
    """An instrumenter that raises is logged once, and costs only its own fields."""
    site = serve(instrumenters=True, django={"FAILING_INSTRUMENTER": True})
    assert differing(site, bare_site) == []
    event = site.event("/n1/")
    assert (event["db_queries"], event["app_setups"]) == (7, 1)
    assert eventually(
        lambda: site.event("/ok/").get("rec_errors"),
        "rec_errors",
        transcript=site.process.transcript,
    )
    logged = site.process.stderr.count("call fails") + site.process.stderr.count("set-up fails")
    assert 1 <= logged <= 4
