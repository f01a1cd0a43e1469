"""What ``capture_events`` gives an application's own tests."""

from __future__ import annotations

import gc
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, StreamingHttpResponse
from django.test import Client
from django.test.utils import override_settings
from django.urls import path

from slowhound.core.in_flight import in_flight
from slowhound.testing import capture_events
from tests.harness.waiting import eventually


def streams(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse([b"row"])


urlpatterns = [path(f"{name}/", streams) for name in ("earlier", "elsewhere", "within")]


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def get(client: Client, address: str) -> Any:
    """A response whose body is not read, nor closed."""
    response = client.get(address)
    assert in_flight
    return response


def test_response_of_an_earlier_test_that_is_freed_within_the_block_is_not_in_it(
    client: Client,
) -> None:
    """An unclosed response ends when Python frees it, which may be in any later test."""
    earlier = [get(client, "/earlier/")]
    with capture_events() as events:
        earlier.clear()
        gc.collect()  # Django's test client has the response hold itself
        eventually(lambda: not in_flight, "the hound's end of the freed one")
        get(client, "/within/").close()
    assert [event["req_path"] for event in events] == ["/within/"]


def test_earlier_response_that_the_block_closes_is_not_in_it(client: Client) -> None:
    """Python frees what is in a circle in the block's own thread, as if the block had done it."""
    earlier = get(client, "/earlier/")
    with capture_events() as events:
        earlier.close()
        get(client, "/within/").close()
    assert [event["req_path"] for event in events] == ["/within/"]


def test_request_that_an_ended_process_has_left_is_written_and_not_captured(
    client: Client, configure: Any
) -> None:
    """The event of another process is none of the block, whoever finds it."""
    directory = configure()

    def written() -> list[str]:
        lines = [path.read_text() for path in (directory / "events").iterdir()]
        return [json.loads(line)["req_path"] for line in "".join(lines).splitlines()]

    with capture_events() as events:
        pid = os.fork()
        if not pid:
            try:
                kept = get(client, "/elsewhere/")  # noqa: F841
            finally:
                os._exit(0)  # with its request in flight
        os.waitpid(pid, 0)
        eventually(written, "the event of the ended process")
        get(client, "/within/").close()
    assert ([event["req_path"] for event in events], written()) == (["/within/"], ["/elsewhere/"])
