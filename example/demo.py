"""Drives real traffic at the example shop under Gunicorn, and shows what slowhound records of it.

``make demo`` runs it. Without a terminal (or with ``CI=1``) it ends by itself, with exit code 0
only if every expected event was seen: as a canonical line in Gunicorn's access log, as a JSON
object in ``DIR/events/``, and, for a slow request, as a report in ``DIR/reports/``; and if the
pages of the viewer show them. In a terminal both then keep serving until Ctrl-C.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import queue
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
START_WITHIN = 30.0
STEP_WITHIN = 20.0  # the slowest step takes 2 seconds on an idle machine
REPORT_HEAD, REPORT_TAIL = 9, 36  # lines shown; between them are the server's own frames

Event = dict[str, Any]


# --- the traffic, and the events it must lead to ------------------------------------------------


def at_least(limit: float) -> Callable[[Any], bool]:
    """A check for a number that is there and not below ``limit``."""
    return lambda value: isinstance(value, int | float) and value >= limit


def ends_with(text: str) -> Callable[[Any], bool]:
    """A check for a text that ends with ``text``."""
    return lambda value: isinstance(value, str) and value.endswith(text)


def present(value: object) -> bool:
    """A check for a field that is there and not empty."""
    return bool(value)


def any_or_none(_value: object) -> bool:
    """A field that may be missing."""
    return True


def absent(value: object) -> bool:
    """A check for a field that is missing or none."""
    return value is None


@dataclass(frozen=True)
class Expected:
    """One event that must be seen: its fields, each with a value or a check."""

    what: str
    fields: Mapping[str, object]
    report: bool = False

    def fits(self, event: Event) -> bool:
        """True when each field is as expected."""
        return all(
            wanted(event.get(name)) if callable(wanted) else event.get(name) == wanted
            for name, wanted in self.fields.items()
        )


@dataclass(frozen=True)
class Step:
    """One piece of traffic."""

    title: str
    path: str
    expected: tuple[Expected, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    leave_early: bool = False


def page(title: str, path: str, status: int = 200, *more: Expected, **fields: object) -> Step:
    """A step that expects one ``request`` event, and perhaps more."""
    return Step(title, path, (request_event(title, path, status, fields), *more))


def request_event(what: str, path: str, status: int, fields: Mapping[str, object]) -> Expected:
    """The ``request`` event of ``path``; ``fields`` are other fields that it must have."""
    outcome = "error" if status >= 500 else "ok"
    common = {"req_path": path.partition("?")[0], "resp_status": status, "resp_outcome": outcome}
    return Expected(what, {"event_type": "request", **common, **fields})


def slow_page(title: str, path: str, slow_loc: Callable[[Any], bool] = present) -> Step:
    """A step that is reported while it runs, and has its usual event at its end."""
    slow = {"event_type": "slow", "req_path": path.partition("?")[0], "slow_loc": slow_loc}
    report = Expected(f"{title}: report", slow, report=True)
    return page(title, path, 200, report, resp_time=at_least(1.0), slow_after=1.0)


STEPS = (
    Step(
        "fast, with a basket",
        "/",
        (request_event("fast, with a basket", "/", 200, {"db_queries": 1, "app_basket": 3}),),
        headers={"Cookie": "basket=2.3.5"},
    ),
    page("five queries", "/orders/", db_queries=5, db_n1=absent, tmpl_count=at_least(1)),
    page("N+1", "/n-plus-one/", db_queries=31, db_dup_queries=30, db_n1=ends_with("describe")),
    slow_page("slow I/O", "/slow-io/?seconds=2", ends_with("wait_for_warehouse")),
    slow_page("slow Python", "/slow-python/?seconds=2"),
    # It has its stack, except in the rare case that the hold began while the hound was awake and
    # ended before the arbiter sampled.
    slow_page("GIL held", "/gil/?seconds=3", any_or_none),
    page(
        "crash",
        "/crash/",
        500,
        exc_type="CardDeclined",
        exc_loc=ends_with("crash"),
        exc_cause_loc=ends_with("charge_card"),
    ),
    page(
        "template error",
        "/template-error/",
        500,
        exc_type="DivisionByZero",
        exc_template="shop/includes/price.html:3",
        exc_cause_loc=ends_with("discount"),
    ),
    page(
        "partial failure",
        "/partial/",
        200,
        Expected(
            "partial failure: the part",
            {"event_type": "partial_failure", "req_id": present, "exc_type": "RecommenderDown"},
        ),
    ),
    page("streaming", "/stream/?chunks=5&pause=0.1", resp_time=at_least(0.5), resp_ttfb=present),
    page("context", "/context/?customer=2", app_customer="The Wet Nose", app_pricing_time=present),
    page("cache", "/cache/", cache_hits=1, cache_misses=1, cache_sets=1),
    page("outbound", "/outbound/", out_count=1, out_time=present),
    # Django never sees this one, so its event has fewer fields.
    page("static file", "/static/shop.css", resp_outcome=absent, resp_view=absent),
    Step(
        "client leaves",
        "/stream/?chunks=100&pause=0.05",
        (
            Expected(
                "client leaves",
                {"event_type": "request", "req_path": "/stream/", "resp_outcome": "disconnect"},
            ),
        ),
        leave_early=True,
    ),
    # By now the count of workers, which is sampled about once a second, has been taken.
    page("async view", "/async/", resp_time=at_least(0.15), g_w_count=2),
)


# --- the servers --------------------------------------------------------------------------------


class Courier(http.server.BaseHTTPRequestHandler):
    """The other service that /outbound/ calls."""

    def do_GET(self) -> None:
        """Answers anything."""
        body = b"two days, three if it is about a cat"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing: the shop's own lines are what matters here."""


@contextmanager
def courier() -> Iterator[str]:
    """Runs the courier; gives its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Courier)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def gunicorn(folder: Path, courier_url: str) -> Iterator[subprocess.Popen[str]]:
    """Runs the shop; Gunicorn's log and the canonical lines both come out of its stdout."""
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PYTHONUNBUFFERED": "1",
        "SHOP_BIND": "127.0.0.1:0",  # a free port; Gunicorn prints it
        "SHOP_COURIER_URL": courier_url,
        "SHOP_DB": str(folder / "shop.sqlite3"),
        "SLOWHOUND_DIR": str(folder / "slowhound"),
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=HERE, env=environ, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=HERE,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C is for the demo, which then stops Gunicorn.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def viewer(directory: Path) -> Iterator[str]:
    """Runs ``slowhound view`` over what was recorded; gives its URL."""
    bind = ["--bind", "127.0.0.1:0", "--dir", str(directory)]
    process = subprocess.Popen(
        [sys.executable, "-m", "slowhound", "view", *bind],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        listening = re.search(r"http://\S+/", line)
        yield listening[0] if listening else ""
        if not listening:
            print(line, process.stdout.read())
    finally:
        process.terminate()
        process.communicate()


# --- the client ---------------------------------------------------------------------------------


def get(address: tuple[str, int], step: Step) -> int:
    """Sends one request; returns its status."""
    connection = http.client.HTTPConnection(*address, timeout=STEP_WITHIN)
    try:
        connection.request("GET", step.path, headers=dict(step.headers))
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def get_and_leave(address: tuple[str, int], step: Step) -> int:
    """A client that goes away in the middle of the body."""
    with socket.create_connection(address, timeout=STEP_WITHIN) as connection:
        # Close with a reset, as after a phone has lost its network.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(f"GET {step.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return int(connection.recv(1_000).split()[1])


# --- what is seen -------------------------------------------------------------------------------


class Screen:
    """Prints; headings are coloured only on a terminal."""

    def __init__(self) -> None:
        self.colours = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def heading(self, text: str) -> None:
        """A line that stands out."""
        self.line(f"\n== {text}", "1;36")

    def line(self, text: str, colour: str = "") -> None:
        """One line, flushed: stdout may be a pipe that is followed."""
        print(f"\x1b[{colour}m{text}\x1b[0m" if colour and self.colours else text, flush=True)


class Witness:
    """Follows the stream, the segments and the reports, and shows what is new."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, screen: Screen) -> None:
        self.screen = screen
        self.folder = folder
        self.stream: list[Event] = []
        self.stored: list[Event] = []
        self.reports: dict[str, str] = {}
        self.address: tuple[str, int] | None = None
        self.ended = False
        self._read_to: Counter[Path] = Counter()
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._follow, args=(process,), daemon=True).start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait(self, until: Callable[[], bool], within: float) -> bool:
        """Reads and shows what is new until ``until()`` is true; False when that took too long."""
        deadline = time.monotonic() + within
        while not until():
            if self.ended or time.monotonic() > deadline:
                return until()
            self._read()
        return True

    def _read(self) -> None:
        """Waits for a line, but not for long: files may have grown meanwhile."""
        try:
            line = self._lines.get(timeout=0.05)
            while line is not None:
                self._take_line(line.rstrip("\n"))
                line = self._lines.get_nowait()
            self.ended = True
        except queue.Empty:
            pass
        self._read_segments()
        self._read_reports()

    def _take_line(self, line: str) -> None:
        if line.startswith("event_type="):
            self.stream.append(parse_logfmt(line))
            self.screen.line(line)
        elif line:
            self.screen.line(line, "2")
            listening = re.search(r"Listening at: http://([\d.]+):(\d+)", line)
            if listening:
                self.address = (listening[1], int(listening[2]))

    def _read_segments(self) -> None:
        for path in sorted(self.folder.glob("events/*.jsonl")):
            with path.open("rb") as segment:
                segment.seek(self._read_to[path])
                new = segment.read()
            whole = new[: new.rfind(b"\n") + 1]  # the last line may still be on its way
            self._read_to[path] += len(whole)
            self.stored.extend(json.loads(line) for line in whole.splitlines())

    def _read_reports(self) -> None:
        for path in sorted(self.folder.glob("reports/slow_request_*.log")):
            text = path.read_text(errors="replace")
            if path.name not in self.reports:
                self._show_report(path, text.splitlines())
            self.reports[path.name] = text

    def _show_report(self, path: Path, lines: list[str]) -> None:
        self.screen.line(f"-- report {path}", "1;33")
        left_out = len(lines) - REPORT_HEAD - REPORT_TAIL
        if left_out > 0:
            lines[REPORT_HEAD:-REPORT_TAIL] = [f"  ... {left_out} lines, not shown here ..."]
        for line in lines:
            self.screen.line(f"   {line}".rstrip())

    def seen(self, expected: Expected) -> dict[str, bool]:
        """Where an expected event was found; ``report`` only for those that have one."""
        events = [event for event in self.stored if expected.fits(event)]
        lines = {(event.get("event_type"), event.get("req_id")) for event in self.stream}
        found = {
            "stream": any((each["event_type"], each.get("req_id")) in lines for each in events),
            "segment": bool(events),
        }
        if expected.report:
            found["report"] = any(
                each["req_path"] in self.reports.get(str(each.get("report")), "") for each in events
            )
        return found


def parse_logfmt(line: str) -> Event:
    """The values of a canonical line, which are JSON strings."""
    pairs = re.findall(r'([^\s=]+)=("(?:[^"\\]|\\.)*")', line)
    return {key: json.loads(value) for key, value in pairs}


# --- the run ------------------------------------------------------------------------------------


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
