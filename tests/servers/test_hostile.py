"""Hostile bytes in paths, headers, messages and keys never break or forge a line."""

from __future__ import annotations

import codecs
import urllib.parse
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.client import new_agent
from tests.harness.logfmt import UNSAFE, folded, parse
from tests.harness.recorded import Event, Line
from tests.harness.site import Site

HOSTILE = [
    b'quote" event_type="crash',
    b"back\\slash\\",
    b"\\",
    b'\\"',
    b"new\nline",
    b"carriage\r\nreturn",
    b"tab\tstop",
    b"esc\x1b[31mred",
    b"nul\x00byte",
    b"del\x7f",
    "rtl\u202eoverride".encode(),
    "next\u0085line and \u2028separator".encode(),
    "umlaut ä, snowman ☃, clef 𝄞".encode(),
    b"invalid \xff\xfe utf-8",
    b"cut off \xe2\x82",
    b"encoded surrogate \xed\xb3\xbf",
    b"${jndi:ldap://x} %s %(x)s {0} %%",
]


def shown(raw: bytes) -> str:
    """Bytes as an event shows them: UTF-8, and any other byte as a surrogate escape."""
    text = raw.decode("utf-8", "surrogateescape")
    return "".join(f"\\u{ord(char):04x}" if "\ud800" <= char <= "\udfff" else char for char in text)


def percent(error: UnicodeError) -> tuple[str, int]:
    """Percent-encodes bytes that cannot be decoded."""
    assert isinstance(error, UnicodeDecodeError)
    return urllib.parse.quote(error.object[error.start : error.end]), error.end


codecs.register_error("tests.percent", percent)


def shown_path(raw: bytes) -> str:
    """The same for a path, where Django leaves bytes that are not UTF-8 percent-encoded."""
    return raw.decode("utf-8", "tests.percent")


def check_line(site: Site, line: Line) -> None:
    """Checks that the raw text of `line` is clean, and that nothing was forged."""
    assert line["event_type"] == "request"
    raw = [text for text in site.output() if line["req_id"] in text]
    assert [text for text in raw if UNSAFE.search(text)] == []
    assert site.stray_output() == []


def pair(site: Site, path: str, headers: dict[str, str] | None = None) -> tuple[Event, Line]:
    agent = site.get(path, headers).agent
    return site.terminal(agent), site.terminal_line(agent)


@pytest.mark.parametrize("raw", HOSTILE)
def test_hostile_path_parses_back(site: Site, raw: bytes) -> None:
    """A hostile path is in the event as it was sent, and in one clean line."""
    event, line = pair(site, "/x" + urllib.parse.quote(raw) + "x/")
    assert event["req_path"] == f"/x{shown_path(raw)}x/"
    assert line["req_path"] == folded(f"/x{shown_path(raw)}x/")
    check_line(site, line)


@pytest.mark.parametrize(
    "raw", [b for b in HOSTILE if not set(b) & {*range(9), *range(10, 32), 127}]
)
def test_hostile_header_parses_back(site: Site, raw: bytes) -> None:
    """Headers that Gunicorn lets through are in the event as they were sent."""
    event, line = pair(site, "/ok/", {"Referer": b"x".decode() + raw.decode("latin-1") + "x"})
    assert event["req_referrer"] == f"x{shown(raw)}x"
    assert line["req_referrer"] == folded(f"x{shown(raw)}x")
    check_line(site, line)


def test_hostile_exception_text_parses_back(site: Site) -> None:
    """An exception's text is in the event, and cannot forge anything in the line."""
    event, line = pair(site, "/hostile-message/")
    message = 'a"b\\c\nevent_type="crash" \x1b[31m\x00\t\u202eevil\\udcff'
    assert event["exc_msg"] == message
    assert line["exc_msg"] == folded(message)
    check_line(site, line)


def test_hostile_context_cannot_forge(site: Site) -> None:
    """Each hostile key or value of Context is one field under app_."""
    event, line = pair(site, "/hostile-context/")
    assert event["event_type"] == "request"
    for found in (event, line):
        ours = {name: value for name, value in found.items() if name.startswith("app_")}
        assert {"forged", "v1", "v2", "v3", "v4", "v5", "v6"} <= set(ours.values())
    value = 'q" event_type="crash" \\ \n \x1b \x00 \u202e \\udcff end'
    assert event["app_value"] == value
    assert line["app_value"] == folded(value)
    check_line(site, line)


def test_request_gunicorn_refuses_breaks_nothing(site: Site) -> None:
    """A request that Gunicorn refuses leaves no broken line, and the next one is recorded."""
    for start in (b"GET / HTTP/9.9", b"G\x00T / HTTP/1.1", b"\x16\x03\x01", b"GET /\xff HTTP/1.1"):
        site.raw(start + b"\r\nHost: x\r\nUser-Agent: bad\x01\r\n\r\n")
    assert site.event("/ok/")["resp_status"] == 200
    assert all(parse(text) for text in site.output())


def test_long_values_leave_one_line(site: Site) -> None:
    """A very long path and header leave one complete line."""
    agent = new_agent()
    site.get("/" + "p" * 3500, {"User-Agent": agent, "Referer": "r" * 7000})
    assert site.terminal_line(agent)["req_path"].startswith("/pppp")
    assert site.stray_output() == []


BYTES: Any = st.binary(min_size=1, max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=BYTES)
def test_any_path_parses_back(site: Site, raw: bytes) -> None:
    """Any path parses back from the event and from the line."""
    event, line = pair(site, "/x" + urllib.parse.quote(raw, safe="") + "x/")
    assert event["req_path"] == f"/x{shown_path(raw)}x/"
    assert line["req_path"] == folded(f"/x{shown_path(raw)}x/")
    check_line(site, line)
