"""Variables that no report may touch, in a real worker."""

from __future__ import annotations

import pytest

from tests.harness.launch import Launcher

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_report_of_variables_that_fight_back_is_whole(serve: Launcher) -> None:
    """Code that would raise or block, a huge text and a circle: the report is there, and short."""
    site = serve(settings={"SLOW_AFTER": 0.2, "LOCALS": True})
    answer = site.start("/guarded/hostile/")
    report = site.wait_report("/guarded/hostile/", "in guarded\n", "numbers = [0, 1, 2")
    site.gate("hostile").open()
    assert answer.result().status == 200
    event = site.terminal(answer.result().agent)
    assert "guard = <tests.site.views.secrets.Guarded object>" in report.text
    assert "circle = [[[[" in report.text
    assert "huge = 'xxx" in report.text
    assert len(report.text) < 50_000
    assert not event.get("rec_errors")
