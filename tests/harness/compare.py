"""Compares a site's responses, byte for byte, with those of the same site without slowhound."""

from __future__ import annotations

import functools

from tests.harness.client import without_date
from tests.harness.site import Site

# One of each kind: plain, failing, missing, streamed, a file, empty, and slow.
PATHS = (
    "/ok/",
    "/n1/",
    "/raise/",
    "/denied/",
    "/missing/",
    "/no/such/page/",
    "/in-template/",
    "/unprintable/",
    "/stream/5/100/",
    "/stream-breaks/",
    "/file/5000/",
    "/empty/",
    "/cached/",
    "/template/",
    "/sleep/0.6/",
)


@functools.cache
def expected(bare: Site, path: str) -> bytes:
    """The response without slowhound."""
    return without_date(bare.raw_get(path))


def differing(site: Site, bare: Site) -> list[str]:
    """The paths whose responses are not the same bytes."""
    return [path for path in PATHS if without_date(site.raw_get(path)) != expected(bare, path)]
