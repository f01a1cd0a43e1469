"""A process with a recorder and one request in flight, of any user, path and behaviour.

`python -m tests.harness.worker JSON` prints `ready`, and runs until its input ends.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time

import django
from django.conf import settings

from slowhound.config.config import load
from slowhound.core.record import Record
from slowhound.recorder import process


def hold_the_gil() -> None:
    """Holds the GIL for longer than any test: no other thread of this process runs again."""
    re.match(r"(a+)+$", "a" * 40 + "b")


def main() -> None:
    given = json.loads(sys.argv[1])
    settings.configure()
    django.setup()
    if given["user"]:
        os.setgid(given["user"])
        os.setuid(given["user"])
    config = load({"DIR": given["dir"], "STREAM": None, **given["settings"]})
    active = process.start(config)
    assert active is not None
    record = Record(given["method"], given["path"], time.monotonic())
    active.begin(record)
    assert record.slot is not None
    if given["view"]:
        record.slot.view_known(given["view"])
    if given["sql"]:
        record.slot.query_begins(given["sql"], record.started)
    print("ready", flush=True)
    if given["then"] == "hold the GIL":
        # The hound sleeps by then, and waits for the GIL afterwards.
        while active.watch.starvation.holders.wanted is None:
            time.sleep(0.001)
        hold_the_gil()
    sys.stdin.read()


if __name__ == "__main__":
    main()
