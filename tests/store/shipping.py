"""A shipper of its own process, which stops where it is told to, so that it can be killed there."""

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
    """Ships, and waits: before or after a batch, or while the position is written."""
    ship.BATCH_BYTES = int(batch)
    shipper = ship.Shipper(directory, target)
    shipper.connect()
    insert, replace = shipper._insert, os.replace
    rounds = iter(range(10**6))

    def before_or_after(rows: list[dict[str, Any]]) -> None:
        number = next(rounds)
        if number == 1 and where == "before the insert":
            stop(where)
        insert(rows)
        if number == 1 and where == "after the insert":
            stop(where)

    def while_saving(old: str, new: str) -> None:
        if next(rounds) == 3 and where == "before the position":
            stop(where)
        replace(old, new)

    shipper._insert = before_or_after  # type: ignore[method-assign]
    if where == "before the position":
        shipper._insert = insert  # type: ignore[method-assign]
        os.replace = while_saving  # type: ignore[assignment]
    shipper.round()
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
