"""Runs a shipper in a process of its own, which stops at a given place so that it can be killed."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from slowhound.store import ship


def stop(where: str) -> None:
    print(where, flush=True)
    time.sleep(600)


def main(directory: str, target: str, where: str, batch: str) -> None:
    """Ships, and stops before or after a batch, or while the position is written."""
    ship.BATCH_BYTES = int(batch)
    shipper = ship.Shipper(directory, target)
    shipper.connect()
    insert, rename = shipper._insert, os.rename
    counter = iter(range(10**6))

    def before_or_after(rows: list[dict[str, Any]]) -> None:
        number = next(counter)
        if number == 1 and where == "before the insert":
            stop(where)
        insert(rows)
        if number == 1 and where == "after the insert":
            stop(where)

    def while_saving(old: str, new: str, **folders: Any) -> None:
        if next(counter) == 3 and where == "before the position":
            stop(where)
        rename(old, new, **folders)

    shipper._insert = before_or_after  # type: ignore[method-assign]
    if where == "before the position":
        shipper._insert = insert  # type: ignore[method-assign]
        os.rename = while_saving  # type: ignore[assignment]
    shipper.ship_all()
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
