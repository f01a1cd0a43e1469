"""What another process wrote may be anything: values of other types, too deep, too large.

Boxes and their payloads, dumps, stacks, reports of peers, the spool, profiles, segments.
"""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from slowhound.blackbox import payloads
from slowhound.blackbox.layout import FIRST_SLOT
from slowhound.blackbox.peer_reports import read_reports
from slowhound.blackbox.reader import PEER_REPORTS_SUFFIX, BoxState, Pending, beside
from slowhound.cli import dump as cli_dump
from slowhound.cli import tail
from slowhound.config import overrides
from slowhound.core.report import Report, of_death
from slowhound.delivery.item import DeliveryItem, encode
from slowhound.delivery.spool import Spool
from slowhound.event import formats
from slowhound.flames import profile
from slowhound.frames.frames import Frame, TakenStack
from slowhound.gil.unresponsive import Hold
from slowhound.peers import dumps, postmortem, stalled, stalled_reports, workers
from slowhound.peers.death import Death
from slowhound.peers.workers import Worker, in_flight
from slowhound.stacks.fatal_errors import FatalStacks
from slowhound.store import clickhouse_rows
from slowhound.store import tail as reading

DEEP = b"[" * 900 + b"]" * 900
DEEPER = b"[" * 100_000 + b"]" * 100_000
# Each as JSON; not all of it is.
HOSTILE = {
    "a number": b"7",
    "a fraction": b"-0.5",
    "a huge number": b"1" + b"0" * 400,
    "a huge exponent": b"1e308",
    "a negative one": b"-1e308",
    "no number": b"NaN",
    "more than 64 bits": b"36893488147419103232",
    "true": b"true",
    "null": b"null",
    "a list": b'["x", 1]',
    "a list of pairs": b'[["x", 1]]',
    "an object": b'{"x": [1]}',
    "a text": b'"x"',
    "an empty text": b'""',
    "a NUL": b'"a\\u0000b"',
    "half a character": b'"\\ud800"',
    "no UTF-8": b'"\xff\xfe"',
    "a path": b'"../../../../tmp/x"',
    "a long text": b'"' + b"x" * 100_000 + b'"',
    "deep": DEEP,
    "deeper": DEEPER,
}
STACK = (Frame("/srv/shop/views.py", 3, "orders"),)
WHO = {"id": "r1", "method": "GET", "path": "/", "started": 5.0, "referrer": "r"} | {
    "user_agent": "u",
    "trace": ["a", "b"],
}
SETTINGS: dict[str, Any] = {
    "format": "json",
    "stream": None,
    "dir": "/srv",
    "host": "h",
    "service": "s",
    "release": "1",
    "server": "g",
    "python": "3.13",
    "pids": 1,
    "deliver": True,
    "slow_after": 1.0,
    "slow_by_name": {"v": 2.0},
    "ignore": ["/x"],
    "reports_max": 1000,
}
LAST = {"taken": 6.0, "loc": "a", "cause": "b", "db_queries": 1, "db_time": 1.0, "stack": ["a"]}


def note(fields: dict[str, Any], name: str, value: bytes) -> bytes:
    """These fields, one of which has this value."""
    parts = {each: json.dumps(found).encode() for each, found in fields.items()} | {name: value}
    return b"{" + b", ".join(b'"%s": %s' % (k.encode(), v) for k, v in parts.items()) + b"}"


def state_of(path: Path, who: bytes, settings: bytes, last: bytes) -> BoxState:
    pending = Pending(1, 7, 1, False, 1, FIRST_SLOT, who, b"v", b"SELECT 1", last)
    return BoxState(1, 1, 1, 8 * 10**9, 1, 1, 1, 0, 0, 1, settings, (pending,), str(path))


def read_by_all(state: BoxState, folder: Path) -> None:
    """Runs all readers of a box: ``ps``, the live page, a report of a death, a peer, ``dump``."""
    (pending,) = state.pending
    (shown,) = in_flight([Worker(state.path, state, None, 0.0)])
    assert all(each is None or isinstance(each, str) for each in (shown.path, shown.doing))
    list(cli_dump.request_lines(1, pending, state))
    for death in (Death("unknown"), Death("signal", "SIGKILL", time.monotonic())):
        for event in postmortem.events(state, death, lambda req_id: False):
            formats.json_line(event)
            formats.logfmt(event)
            assert of_death(event).text()
    now = time.monotonic()
    settings = payloads.read_settings(state.settings)
    settings.reports = str(folder)
    stalled._threshold(pending, settings, state.path)
    for stacks in ({}, {1: TakenStack(STACK, time.time(), "py-spy")}):
        hold = Hold((1,), True, None, False, stacks, now - 3, now)
        event = stalled_reports.slow_event(pending, 1.0, hold, state)
        formats.json_line(event)
        assert stalled_reports.compose(pending, hold, state, event).text()
        reporter = stalled.StalledPeer(state.path, lambda event: None)
        reporter._report(pending, 1.0, hold, state, settings)


@pytest.mark.parametrize("value", HOSTILE)
def test_box_of_other_types_breaks_no_reader(tmp_path: Path, value: str) -> None:
    """Neither ``ps``, the live page, the arbiter nor a peer raises."""
    box = tmp_path / "boxes" / "1-1.box"
    box.parent.mkdir()
    box.touch()
    good = (json.dumps(WHO).encode(), json.dumps(SETTINGS).encode(), json.dumps(LAST).encode())
    for index, fields in enumerate((WHO | {"task": "t"}, SETTINGS | {"reports": "/x"}, LAST)):
        for name in fields:
            wrong = list(good)
            wrong[index] = note(fields, name, HOSTILE[value])
            read_by_all(state_of(box, *wrong), tmp_path)


def test_value_that_does_not_fit_is_left_out_alone() -> None:
    """The other values are read, and of a list each item that fits."""
    found = payloads.read_who(note(WHO, "started", b'"soon"'))
    assert (found.started, found.id, found.trace) == (None, "r1", ("a", "b"))
    last = payloads.read_last(note(LAST, "stack", b'["a", 7, null, "b"]'))
    assert (last.stack, last.taken) == (["a", "b"], 6.0)
    settings = payloads.read_settings(note(SETTINGS, "slow_by_name", b'{"v": "x"}'))
    assert (settings.slow_by_name, settings.slow_after, settings.ignore) == (None, 1.0, ["/x"])


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("field", ["number", "report", "heartbeat", "at", "stack", "gil_hold"])
def test_report_of_a_peer_is_read_or_left_out(tmp_path: Path, field: str, value: str) -> None:
    """Its file lies beside the box, and it becomes part of an event."""
    box = tmp_path / "1-1.box"
    fields = {"number": 1, "report": "r.log", "fingerprint": "f", "heartbeat": 8 * 10**9, "at": 7.0}
    fields |= {"stack": ["a"], "gil_hold": 1.0}
    Path(beside(str(box), PEER_REPORTS_SUFFIX)).write_bytes(
        note(fields, field, HOSTILE[value]) + b"\n"
    )
    state = state_of(box, json.dumps(WHO).encode(), b"{}", json.dumps(LAST).encode())
    (event,) = postmortem.events(
        state, Death("unknown"), lambda _: False, None, read_reports(str(box))
    )
    assert event["req_id"] == "r1"
    assert of_death(event).text()


@pytest.mark.parametrize("value", HOSTILE)
def test_dump_is_read_or_refused(tmp_path: Path, value: str) -> None:
    """A refusal is one line, no traceback."""
    frame = ["f.py", 1, "g", "x"]
    request = {"req_id": "r", "method": "GET", "path": "/", "view": None, "age": 1.0, "thread": 1}
    for name in (*request, "stack"):
        fields = json.loads(json.dumps({**request, "stack": [frame]}))
        inner = note(fields, name, HOSTILE[value])
        whole = b'{"number": 1, "pid": 1, "threads": [], "requests": [' + inner + b"]}"
        path = tmp_path / "x.dump"
        path.write_bytes(whole)
        try:
            found = dumps.read(str(path), path.stat().st_uid, 1)
        except dumps.DumpError:
            continue
        assert "\n".join(cli_dump.dump_lines(1, found))


@pytest.mark.parametrize("value", HOSTILE)
def test_spool_and_groups_are_read_or_removed(tmp_path: Path, value: str) -> None:
    """Another process wrote them, perhaps of another version."""
    spool = Spool(str(tmp_path))
    report = of_death({"event_type": "crash", "req_id": "r1", "ts": time.time(), "pid": 1})
    fields = json.loads(encode(DeliveryItem(report)))
    for name in fields["report"]:
        item = b'{"report": ' + note(fields["report"], name, HOSTILE[value]) + b"}"
        spool._write("1" * 19 + "-1-00000000.due", item)
        for each in spool.names():
            with spool.claim(each) as claimed:
                if claimed is not None:
                    assert claimed.item.report.text()
                    assert claimed.item.report.fingerprint
                    assert encode(claimed.item)
            spool.remove(each)
    group = {"first": 1.0, "last": 1.0, "seen": 1, "sent": [[1.0, "x"]], "held": 1}
    for name in group:
        (tmp_path / "delivery").mkdir(mode=0o700, exist_ok=True)
        key = report.fingerprint.encode()
        wrong = b'{"groups": {"%s": %s}}' % (key, note(group, name, HOSTILE[value]))
        (tmp_path / "delivery" / "groups.json").write_bytes(wrong)
        with Spool(str(tmp_path)).limiter() as limiter:
            assert isinstance(limiter.admit(report, None, time.time()), Report)


@pytest.mark.parametrize("value", HOSTILE)
def test_override_takes_what_fits(tmp_path: Path, value: str) -> None:
    """Each process that may write to DIR may write ``watch.json``."""
    path = tmp_path / overrides.OVERRIDES_FILE
    good = {"view": None, "slow_after": 1.0, "until": time.time() + 60}
    for name in good:
        path.write_bytes(b'{"thresholds": [' + note(good, name, HOSTILE[value]) + b"]}")
        path.chmod(0o600)
        found = overrides.Override()
        found.read(str(tmp_path))
        threshold = found.threshold(("v",))
        assert threshold is None or 0 <= threshold < 1e9 or name == "slow_after"


# They contain the current time, so they cannot be names of tests.
PROFILES = {
    "empty": b"",
    "its magic alone": b"\x1f\x8b",
    "too deep": gzip.compress(DEEPER),
    "an event that is too deep": gzip.compress(b'{"event": ' + DEEPER + b"}"),
    "a wrong end": gzip.compress(b"x" * 1000)[:-20] + b"\xff" * 20,
    "wrong from the middle on": gzip.compress(bytes(range(256)) * 100)[:30] + b"\xff" * 300,
}


@pytest.mark.parametrize("data", PROFILES.values(), ids=PROFILES)
def test_profile_is_refused_with_one_error(data: bytes) -> None:
    """Also where the compressed stream is damaged, which is an error of zlib."""
    with pytest.raises(ValueError, match="not a profile"):
        profile.load(data)


def test_stacks_of_a_fatal_error_may_be_anything(tmp_path: Path) -> None:
    """faulthandler writes them while the process dies."""
    path = tmp_path / "x.stacks"
    path.write_bytes(
        b"Current thread 0xffffffffffffffff (most recent call first):\n"
        b'  File "a", line 999999999 in f\n  File "\xff", line 1 in \xff\n'
        b'  File "a", line ' + b"9" * 10_000 + b" in f\n"
    )
    found = FatalStacks(str(path)).of(0xFFFFFFFFFFFFFFFF)
    assert found is not None
    assert len(found.stack) == 2


EVENT = {"event_type": "request", "ts": 1770000000.5, "host": "h", "pid": 1, "seq": 1} | {
    "req_id": "r1",
    "resp_outcome": "ok",
    "db_top": [],
    "app_plan": "x",
}


@pytest.mark.parametrize("value", HOSTILE)
def test_line_of_a_segment_is_shown_and_shipped_or_torn(tmp_path: Path, value: str) -> None:
    """A list instead of a host name once ended ``tail`` with a traceback."""
    folder = tmp_path / "events"
    folder.mkdir()
    lines = [note(EVENT, name, HOSTILE[value]) for name in EVENT]
    (folder / "1770000000000-1-0.jsonl").write_bytes(b"\n".join([*lines, b"[]", DEEPER, b""]))
    found, left_out = reading.last_events(str(folder), 100, lambda event: True)
    assert left_out == ()
    for event in found:
        assert tail.line(event)
        assert tail.style(event) is not None
        assert formats.json_line(event)
    made = [clickhouse_rows.from_line(line, "s") for line in lines]
    assert clickhouse_rows.encode([row for row in made if row is not None]) is not None


def test_event_with_an_impossible_time_is_left_out() -> None:
    """It has no date, and a table has one partition per day."""
    for ts in (-1.0, 1e308, 2.0**33):
        assert clickhouse_rows.from_line(json.dumps({**EVENT, "ts": ts}).encode(), "s") is None


def test_impossible_ages_are_not_shown() -> None:
    """They are unknown."""
    assert workers.seconds_since(1e300, 5.0) is None
    assert workers.seconds_since(None, 5.0) is None
    assert workers.seconds_since(4.0, 5.0) == 1.0
