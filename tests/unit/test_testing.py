"""What ``capture_events`` gives an application's own tests."""

from __future__ import annotations

import gc
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


urlpatterns = [path("earlier/", streams), path("within/", streams)]


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


def test_earlier_response_that_the_block_closes_is_in_it(client: Client) -> None:
    """What a test has closed itself it wants to see."""
    earlier = get(client, "/earlier/")
    with capture_events() as events:
        earlier.close()
    assert [event["req_path"] for event in events] == ["/earlier/"]
