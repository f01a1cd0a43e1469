"""Reads and writes the position of a shipper, in ``DIR/ship/<target>.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.answer import StoreError
from slowhound.system.files import open_own, write_whole

Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
LARGEST_STATE_FILE = 64 * 1024**2


class SegmentProgress(NamedTuple):
    """How much of one segment was sent."""

    offset: Number = 0  # bytes
    events: Number = 0
    size: Number = 0  # of the file when it was last read


class ShipState(msgspec.Struct):
    """The contents of the file."""

    segments: dict[str, SegmentProgress]
    parquet: set[str]


_decode = msgspec.json.Decoder(ShipState).decode


def read(path: str) -> ShipState | None:
    """What was written; None where there is no file, or a broken one.

    Then everything is sent again, which only costs time.

    Raises:
        StoreError: it cannot be read, and so could not be replaced either.
    """
    try:
        with open(open_own(path), "rb") as file:
            return _decode(file.read(LARGEST_STATE_FILE))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}") from exc
    except NOT_JSON:
        return None


def write(
    path: str, target: str, segments: Mapping[str, SegmentProgress], parquet: set[str]
) -> None:
    """Replaces the file.

    Raises:
        StoreError: it cannot be written, such as on a full disk.
    """
    known = {"target": target, "segments": segments, "parquet": sorted(parquet)}
    try:
        write_whole(path, json.dumps(known).encode(), f"{path}.tmp")
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}") from exc
