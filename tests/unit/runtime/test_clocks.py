"""A suite that freezes time: slowhound reads the machine's clocks, and moves nobody's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import freezegun
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path
from freezegun import freeze_time

from slowhound.delivery.report_files import ReportFiles
from slowhound.flames.files import FlameFiles
from slowhound.testing import capture_events
from tests.harness.waiting import eventually

# freezegun reads each attribute of each module after it has replaced datetime. One there imports
# pandas when it is read, which takes the replacement for the C type: the next collection crashes.
# anyio imports half of itself then, which pytest parses; two threads that parse at once break each
# other up to Python 3.11.7.
freezegun.configure(extend_ignore_list=["clickhouse_connect", "anyio"])


# The events that the running test has captured.
so_far: list[dict[str, Any]] = []


def now(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(datetime.now().isoformat())  # noqa: DTZ005  what freezegun moves


def slow(_request: HttpRequest) -> HttpResponse:
    eventually(lambda: so_far[:1], "its slow event")
    return HttpResponse("slow")


urlpatterns = [path("now/", now), path("slow/", slow)]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def test_clock_that_moves_when_it_is_read_is_moved_by_the_application_alone(
    client: Client, configure: Any
) -> None:
    """freezegun's auto_tick_seconds: each reading of the view's is the next one."""
    configure()
    client.get("/now/")
    with freeze_time("2031-01-01", auto_tick_seconds=10):
        seen = [datetime.fromisoformat(client.get("/now/").content.decode()) for _ in range(3)]
    assert seen[1] - seen[0] == seen[2] - seen[1] == timedelta(seconds=10)


def test_slow_request_is_reported_in_frozen_time_and_after_it(
    client: Client, configure: Any
) -> None:
    """No due time is one of 2031."""
    configure(SLOW_AFTER=0.05)
    client.get("/now/")
    for freezes in (freeze_time("2031-01-01", ignore=["tests.harness"]), nullcontext()):
        with capture_events() as events, freezes, patch(f"{__name__}.so_far", events):
            client.get("/slow/")
        assert [each["event_type"] for each in events] == ["slow", "request"]
        assert 0.05 <= events[-1]["resp_time"] < 3600


def test_names_of_files_have_the_real_time_and_move_no_clock() -> None:
    """A report or a flame graph of a frozen day would lie among those of that day."""
    with freeze_time("2000-01-01", auto_tick_seconds=3600):
        first = datetime.now()  # noqa: DTZ005
        names = [ReportFiles("", 1).name(1), FlameFiles("", 1).name(1)]
        assert datetime.now() - first == timedelta(hours=1)  # noqa: DTZ005
    assert not [name for name in names if "20000101" in name]
