"""How far a shipper has come, in ``DIR/ship/<target>.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from slowhound.runtime.library_names import NOT_JSON
from slowhound.store.answer import StoreError
from slowhound.system.files import open_own, write_whole

Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
LARGEST = 64 * 1024**2


class Done(NamedTuple):
    """How far one segment has been sent."""

    offset: Number = 0  # bytes
    events: Number = 0
    size: Number = 0  # of the file when it was last seen


class Known(msgspec.Struct):
    """What stands in the file."""

    segments: dict[str, Done]
    parquet: set[str]


_decode = msgspec.json.Decoder(Known).decode


def read(path: str) -> Known | None:
    """What was written; None where nothing was, or it is broken.

    Everything is sent once more then, which costs time only.

    Raises:
        StoreError: it cannot be read, and so could not be replaced.
    """
    try:
        with open(open_own(path), "rb") as file:
            return _decode(file.read(LARGEST))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}") from exc
    except NOT_JSON:
        return None


def write(path: str, target: str, segments: Mapping[str, Done], parquet: set[str]) -> None:
    """Writes all of it anew.

    Raises:
        StoreError: it cannot be written, as for a full disk.
    """
    known = {"target": target, "segments": segments, "parquet": sorted(parquet)}
    try:
        write_whole(path, json.dumps(known).encode(), f"{path}.tmp")
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}") from exc
