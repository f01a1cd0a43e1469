"""Readers of a box and of peers' reports are given any JSON of any type in every field.

A process that may write into a box (a worker that has been compromised) must not make a reader
fail, nor control the reader's terminal, page or mail. All readers are tried with the same box.
"""

from __future__ import annotations

import io
import json
import os
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import pytest
from django.test import Client, override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from slowhound.blackbox import peer_reports
from slowhound.blackbox.box import Box
from slowhound.blackbox.layout import BORN, HEADER, NAMESPACE, PID, SLOTS
from slowhound.blackbox.payloads import Last, Settings, Who, read_settings
from slowhound.blackbox.reader import BoxState, beside, read
from slowhound.cli import dump, reap, requests_table, top
from slowhound.cli.location import Location
from slowhound.cli.reap import FolderReaper
from slowhound.core.report import Report, of_death
from slowhound.delivery.item import DeliveryItem, encode
from slowhound.delivery.spool import Spool
from slowhound.event import formats
from slowhound.frames.frames import Frame, TakenStack
from slowhound.gil.unresponsive import Hold
from slowhound.gunicorn import arbiter
from slowhound.instrument.saturation import Saturation
from slowhound.peers.death import Death
from slowhound.peers.postmortem import events
from slowhound.peers.stalled import StalledPeer
from slowhound.peers.stalled_reports import compose, slow_event, summary
from slowhound.peers.workers import in_flight
from slowhound.peers.written_events import unsent
from slowhound.runtime.clocks import clock
from slowhound.sinks.email_html import page
from slowhound.sinks.slack import slack_message
from slowhound.sinks.webhook import as_json
from slowhound.sinks.wording import FACTS, headline, opening

# Texts that a terminal, a page, a path, a format or a reader may interpret.
TEXTS = [
    "",
    "-",
    "\x1b[2J\x1b]0;x\x07\r\n\x9b1m",
    "\u202e\u2066\ufeff\u2028",
    "</td><script>alert(1)</script><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "../../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "[red]x[/red][link=http://x]",
    "%s%n{0}{self.__class__}",
    "x" * 300,
    "\U0001f600" * 40,
    "<!channel> <http://evil.example|x> *b*",
]
# What Python's JSON does not write, or only with an option.
RAW = [
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e308",
    b"-1e308",
    b"1e400",
    b"-0.0",
    b"5e-324",
    b"1" * 100,
    b"-" + b"9" * 40,
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"1.7976931348623157e308",
    b'"\\ud800"',
    b'"\\udfff\\ud800x"',
    b'"\xff\xfe"',
    b'"\x01"',
    b"[" * 40 + b"]" * 40,
    b"[" * 200,
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b'[["a","b"],"c",1]',
    b'["a"]',
    b'["a","b"]',
    b'["a","b","c"]',
    b"{}",
    b'{"":0.1}',
    b"true",
    b"null",
    b"nonsense",
    b"",
]
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=40)
    | st.sampled_from(TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
TOKENS = st.sampled_from(RAW) | PLAIN.map(lambda value: json.dumps(value).encode())
CELL = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, -1, 2**63 - 1, -(2**63)])


def payload(*kinds: type[Any]) -> st.SearchStrategy[bytes]:
    """A payload of these fields; each has any value, or is missing, or is there twice."""
    names = st.sampled_from([each for kind in kinds for each in kind.__struct_fields__])
    fields = st.lists(st.tuples(names, TOKENS), max_size=8)
    whole = fields.map(
        lambda pairs: b"{" + b",".join(b'"%s":%s' % (n.encode(), v) for n, v in pairs) + b"}"
    )
    return whole | TOKENS | st.binary(max_size=60)


class Noise(NamedTuple):
    """The contents of one box."""

    settings: bytes
    who: bytes
    stack: bytes
    view: bytes
    sql: bytes
    report: bytes
    cells: dict[int, int]
    slot: tuple[int, int, int, int]


REPORT_FIELDS = sorted(Report.__dataclass_fields__)
TEXT_BYTES = st.sampled_from(TEXTS).map(str.encode) | st.binary(max_size=60)
# The box stays that of a living process here, whatever is in its other cells.
CELLS = [each for each in range(1, HEADER // 8) if each not in (PID, NAMESPACE, BORN, SLOTS)]
NOISE = st.builds(
    Noise,
    payload(Settings),
    payload(Who),
    payload(Last),
    TEXT_BYTES,
    TEXT_BYTES,
    payload(peer_reports.PeerReport),
    st.dictionaries(st.sampled_from([*CELLS, PID, NAMESPACE, BORN]), CELL, max_size=4),
    st.tuples(CELL, CELL, CELL, CELL),
)


def box_of(folder: Path, noise: Noise) -> Box:
    """A living box with all of it, and a second request that shares its thread."""
    box = Box(str(folder), 3)
    box.settings.write(noise.settings)
    for number in (1, 2):
        slot = box.claim(number, noise.who, 7)
        assert slot is not None
        slot.view.write(noise.view, number)
        slot.sql.write(noise.sql, number)
        slot.stack.write(noise.stack, number)
        if number == 1:
            for cell, value in enumerate(noise.slot, 1):
                box.cells[slot.at + cell] = value
    for cell, value in noise.cells.items():
        box.cells[cell] = value
    Path(beside(box.path, ".reported")).write_bytes(noise.report + b"\n")
    return box


def strictly(line: bytes | str) -> Any:
    """Strict JSON: no NaN, no infinity, no lone surrogate."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    found = json.loads(line, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()
    return found


def shown(text: str) -> None:
    """Checks that nothing in it moves a cursor or ends a line."""
    for each in text.split("\n"):
        assert each.isprintable(), each


class Tags(HTMLParser):
    """Collects what a browser would read as elements and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found |= {tag, *(name for name, _ in attrs)}


def harmless(html: str) -> None:
    tags = Tags()
    tags.feed(re.sub(r"<script src=[^>]*></script>", "", html))
    assert not tags.found & {"script", "img", "onerror", "onmouseover"}


def messages_of(report: Report) -> None:
    """The file, the mail, the page, and each message that a report becomes."""
    text = report.text()
    shown(text)
    headline(report)
    opening(report)
    harmless(page(report))
    strictly(formats.json_line(as_json(report, "key", report.kind)))
    strictly(formats.json_line(slack_message(report)))
    strictly(encode(DeliveryItem(report)))


def lines_of(event: dict[str, Any]) -> None:
    strictly(formats.json_line(event))
    line = formats.logfmt(event)
    assert line.isprintable()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    found = tmp_path_factory.mktemp("hostile") / "dir"
    found.mkdir(mode=0o700)
    with override_settings(
        DEBUG=True,
        ROOT_URLCONF="tests.unit.viewer.site",
        MIDDLEWARE=[],
        SLOWHOUND={"DIR": str(found), "STREAM": None},
    ):
        yield found


def clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


FAST = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FAST
@given(noise=NOISE)
def test_reader_of_a_living_process_sees_a_part(folder: Path, noise: Noise) -> None:
    """ps, its JSON, top, dump and the viewer's live page, in HTML and JSON."""
    box = box_of(folder, noise)
    try:
        place = Location(str(folder), os.geteuid())
        workers = place.workers()
        requests = in_flight(workers)
        assert len(requests) == 2
        strictly(json.dumps([each._asdict() for each in requests]))
        for width in (50, 130, requests_table.WIDE):
            file = io.StringIO()
            console = Console(file=file, width=width, markup=False, highlight=False, emoji=False)
            console.print(requests_table.requests_table(requests, width))
            shown(file.getvalue())
        top.Rate().of(workers)
        shown(top.header(workers, 0.0))
        requests_table.without_slot(workers)
        for each in workers:
            shown(each.silence())
            for pending in each.state.pending:
                shown("\n".join(dump.request_lines(each.state.pid, pending, each.state)))
        Saturation().sample([each.state for each in workers])
        client = Client()
        answer = client.get("/staff/hound/live.json")
        assert answer.status_code == 200
        assert len(strictly(answer.content)["requests"]) == 2
        answer = client.get("/staff/hound/live/")
        assert answer.status_code == 200
        harmless(answer.content.decode())
    finally:
        box.close(remove=False)
        clear(folder)


STACK = (Frame("/srv/shop/views.py", 3, "orders"),)


@FAST
@given(noise=NOISE, threshold=st.floats(0, 100))
def test_peer_reports_what_it_can(folder: Path, noise: Noise, threshold: float) -> None:
    """The event, the report and its summary beside the box are whole, whatever the box holds."""
    box = box_of(folder, noise)
    try:
        state = read(Path(box.path).read_bytes())
        assert state is not None
        now = clock.monotonic()
        for stacks in ({}, {7: TakenStack(STACK, time.time(), "py-spy")}):
            hold = Hold((7,), True, None, False, stacks, now - 3, now)
            for pending in state.pending:
                event = slow_event(pending, threshold, hold, state)
                report = compose(pending, hold, state, event)
                event["report"] = "slow.log"
                lines_of(event)
                messages_of(report)
                peer_reports.add_report(box.path, summary(pending, hold, state, event))
        assert {1, 2} <= {*peer_reports.read_reports(box.path)}
        written: list[dict[str, Any]] = []
        peer = StalledPeer(box.path, written.append)
        peer._report_overdue(state)
        hold = Hold((7,), True, None, False, {}, now - 3, now)
        peer._report_thread(7, hold, state)
        within = replaced(state, folder)
        for pending in within.pending:
            peer._report(pending, threshold, hold, within, read_settings(within.settings))
        for event in written:
            lines_of(event)
    finally:
        box.close(remove=False)
        clear(folder)


def replaced(state: BoxState, folder: Path) -> BoxState:
    """The same state with another folder for reports.

    Its user may name any folder that it can write to; that is not tested here.
    """
    known = read_settings(state.settings)
    kept = {"dir": str(folder), "deliver": known.deliver, "reports_max": known.reports_max}
    return state._replace(settings=json.dumps(kept).encode())


DEATHS = [
    Death("unknown"),
    Death("signal", "SIGKILL", 1000.0),
    Death("timeout", "SIGABRT", time.monotonic()),
    Death("exit", None, time.monotonic(), 3),
]


class Server:
    """Gunicorn's arbiter, as far as it is used."""

    WORKERS: ClassVar[dict[int, Any]] = {}
    log = None


@FAST
@given(noise=NOISE)
def test_ended_processes_have_their_events(
    folder: Path, monkeypatch: pytest.MonkeyPatch, noise: Noise
) -> None:
    """By the arbiter, by a sibling, by a command: with report, line and message for each."""
    monkeypatch.setattr(reap, "PARENT_PATIENCE", 0.0)
    monkeypatch.setattr("slowhound.peers.reaper.PARENT_PATIENCE", 0.0)
    box = box_of(folder, noise)
    path = box.path
    state = read(Path(path).read_bytes())
    assert state is not None
    box.close(remove=False)
    try:
        unsent(str(folder), state)
        for death in DEATHS:
            found = events(state, death, lambda _id: False, None, peer_reports.read_reports(path))
            assert len(found) == 2
            for event in found:
                lines_of(event)
                messages_of(of_death(event))
            (folder / "events").mkdir(exist_ok=True)
            arbiter.write(Server(), path, Settings(dir="x"), found)
        reaper = FolderReaper(Location(str(folder), os.geteuid()))
        reaper.visit()
        reaper.visit()
        reaper.close()
        segments = list((folder / "events").glob("*.jsonl"))
        assert len(segments) >= len(DEATHS)
        for line in b"".join(each.read_bytes() for each in segments).splitlines():
            strictly(line)
        for name in Spool(str(folder)).names():
            Spool(str(folder)).take_events(name)
    finally:
        clear(folder)


# The fields of an event that messages show, and those that decide on their form.
EVENT_NAMES = [*FACTS, "event_type", "resp_time", "req_path", "slow_verdict", "slow_fingerprint"]
EVENT_NAMES += ["crash_cause", "crash_stack", "timeout_stack", "ts", "pid", "app_plan"]


@settings(FAST, max_examples=200)
@given(
    event=st.lists(st.tuples(st.sampled_from(EVENT_NAMES), TOKENS), max_size=8),
    fields=st.lists(st.tuples(st.sampled_from(REPORT_FIELDS), TOKENS), max_size=3),
)
def test_item_of_any_types_is_a_message_or_none(
    folder: Path, event: list[tuple[str, bytes]], fields: list[tuple[str, bytes]]
) -> None:
    """What waits for sinks in DIR was written by a worker, and is sent by another one."""

    def made(pairs: list[tuple[str, bytes]]) -> bytes:
        return b"{" + b",".join(b'"%s":%s' % (n.encode(), v) for n, v in pairs) + b"}"

    usual = dict.fromkeys(("started", "intercepted"), b"1.0") | {
        "request_line": b'"GET /"',
        "host": b'"h"',
        "thread_id": b"1",
        "snapshot": b"null",
        "event": made(event),
    }
    spool = Spool(str(folder))
    try:
        name = spool.put(DeliveryItem(of_death({})))
        item = made([("report", made(list((usual | dict(fields)).items())))])
        (folder / "delivery" / name).write_bytes(item)
        with spool.claim(name) as claimed:
            if claimed is not None:
                report = claimed.item.report
                report.fingerprint, report.view, report.flame  # noqa: B018
                messages_of(report)
    finally:
        clear(folder)
