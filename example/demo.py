"""Drives real traffic at the example shop under Gunicorn, and shows what slowhound records of it.

``make demo`` runs it. Without a terminal (or with ``CI=1``) it ends by itself, with exit code 0
only if every expected event was seen: as a canonical line in Gunicorn's access log, as a JSON
object in ``DIR/events/``, and, for a slow request, as a report in ``DIR/reports/``; and if the
pages of the viewer show them. In a terminal both then keep serving until Ctrl-C.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from demo_servers import courier, gunicorn, viewer
from demo_traffic import STEP_WITHIN, STEPS, Step, get, get_and_leave
from demo_witness import Screen, Witness

START_WITHIN = 30.0


def drive(step: Step, witness: Witness, pool: ThreadPoolExecutor) -> None:
    """Sends the request of one step, and waits until all its expected events were seen."""
    assert witness.address is not None
    witness.screen.heading(f"{step.title}: GET {step.path}")
    request = get_and_leave if step.leave_early else get
    answer: Future[int] = pool.submit(request, witness.address, step)
    witness.wait(
        lambda: answer.done() and all(all(witness.seen(each).values()) for each in step.expected),
        STEP_WITHIN,
    )
    if answer.done() and (error := answer.exception()):
        witness.screen.line(f"the request failed: {error!r}", "31")


def table(witness: Witness) -> bool:
    """Prints what was expected and where it was seen; True when nothing is missing."""
    witness.screen.heading("expected, and seen")
    columns = ("stream", "segment", "report")
    rows = [(each.what, witness.seen(each)) for step in STEPS for each in step.expected]
    width = max(len(what) for what, _ in rows)
    witness.screen.line(f"{'':{width}}  " + "".join(f"{column:9}" for column in columns))
    for what, found in rows:
        words = {True: "seen", False: "MISSING", None: "-"}
        cells = "".join(f"{words[found.get(column)]:9}" for column in columns)
        witness.screen.line(f"{what:{width}}  {cells}", "" if all(found.values()) else "31")
    complete = all(all(found.values()) for _, found in rows)
    return once_each(witness) and complete


def once_each(witness: Witness) -> bool:
    """True when each request has exactly one ``request`` event, and no event is without one."""
    fine = True
    for where, events in (("stream", witness.stream), ("segments", witness.stored)):
        ids = Counter(each["req_id"] for each in events if each["event_type"] == "request")
        strays = {each["req_id"] for each in events} - set(ids)
        if len(ids) != len(STEPS) or ids.total() != len(STEPS) or strays:
            fine = False
            counts = (
                f"{len(STEPS)} requests, {len(ids)} ids, {ids.total()} events, {len(strays)} strays"
            )
            witness.screen.line(f"{where}: not one event for each request: {counts}", "31")
    if fine:
        witness.screen.line(f"\n{len(STEPS)} requests, each with exactly one request event")
    return fine


# Pages of the viewer, and how many rows (or what else) the JSON of each must have.
VIEWED: Mapping[str, Callable[[Any], bool]] = {
    "overview": lambda found: found["totals"]["requests"] == len(STEPS),
    "views": lambda found: len(found["rows"]) > 10,
    "requests": lambda found: found["total"] == len(STEPS),
    "reports": lambda found: sum(row["n"] for row in found["rows"]) >= 2,
    "deaths": lambda found: found["rows"] == [],
    "live": lambda found: len(found["workers"]) == 2,
    "sql": lambda found: len(found["rows"]) > 3,
    "ask": lambda found: len(found["questions"]) >= 20,
}


def view(url: str, witness: Witness) -> bool:
    """Opens each page of the viewer; True when all of them show what has just happened."""
    witness.screen.heading(f"the viewer shows it: {url}")
    fine = bool(url)
    for name, shows in VIEWED.items() if url else ():
        page = "" if name == "overview" else f"{name}/"
        try:
            with urllib.request.urlopen(f"{url}{page}", timeout=STEP_WITHIN) as response:
                drawn = response.status == 200 and "slowhound" in response.read().decode()
            with urllib.request.urlopen(f"{url}{name}.json", timeout=STEP_WITHIN) as response:
                seen = drawn and shows(json.load(response))
        except OSError as error:
            witness.screen.line(f"{url}{page}: {error}", "31")
            seen = False
        word, colour = ("seen", "") if seen else ("MISSING", "31")
        witness.screen.line(f"   {url}{page:20} {word}", colour)
        fine = fine and seen
    return fine


def keep_serving(witness: Witness, viewer_url: str) -> None:
    """Keeps the site and the viewer running for the person at the terminal."""
    assert witness.address is not None
    site = "http://{}:{}".format(*witness.address)
    witness.screen.heading(f"still serving {site}/ until Ctrl-C; its pages:")
    for step in STEPS:
        witness.screen.line(f"   {site}{step.path:32} {step.title}")
    witness.screen.line(f"   events and reports: {witness.folder}")
    witness.screen.heading(f"the viewer: {viewer_url}")
    try:
        witness.wait(lambda: False, float("inf"))
    except KeyboardInterrupt:
        witness.screen.line("")


def is_interactive() -> bool:
    """True on a terminal that is not a CI's."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return sys.stdin.isatty() and sys.stdout.isatty() and not in_ci


def run(folder: Path) -> bool:
    """The whole demo; True when everything expected was seen."""
    with (
        courier() as courier_url,
        gunicorn(folder, courier_url) as process,
        ThreadPoolExecutor() as pool,
    ):
        witness = Witness(process, folder / "slowhound", Screen())
        if not witness.wait(lambda: witness.address is not None, START_WITHIN):
            witness.screen.line("Gunicorn did not start", "31")
            return False
        for step in STEPS:
            drive(step, witness, pool)
        complete = table(witness)
        with viewer(witness.folder) as url:
            complete = view(url, witness) and complete
            if is_interactive():
                keep_serving(witness, url)
    return complete


def main() -> int:
    """Runs in a folder of its own, which is kept when something is missing."""
    # Whatever ends the demo, Gunicorn is stopped: as SystemExit, a signal lets `finally` run.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix="slowhound-demo-"))
    try:
        complete = run(folder)
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(folder)
        raise
    if complete:
        shutil.rmtree(folder)
        print("\nAll expected events were seen.")
        return 0
    print(f"\nSomething is missing, see above. What was written is kept in {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
