"""Reports to a web address: plain JSON, or what Slack and those like it understand; signed.

The address comes from the settings and from nowhere else. So that a redirect, a name or a proxy
does not turn it against the inside of a network:

- only http and https, and no redirect is followed: an answer outside of 200 to 299 is a failure;
- the name is resolved once, and the connection goes to an address that was looked at: private and
  loopback ones only with ``private=True``; link-local ones, those of tunnels and those of cloud
  metadata only when ``allow`` names them (see ``addresses``);
- proxies of the environment are not used, for they would resolve the name themselves.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import re
import socket
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from slowhound.core.report import Report
from slowhound.event.formats import json_line
from slowhound.runtime.clocks import clock
from slowhound.sinks.addresses import Network, allowed, networks
from slowhound.sinks.slack import slack_message
from slowhound.sinks.wording import end_note, group_note, headline, safe_id

# Of the answer nothing but its first line is read.
STATUS_LINE = 1024
TEXT_LIMIT = 100_000
_STATUS = re.compile(rb"HTTP/1\.[01] +(\d{3})(?:[ \r\n]|$)")


class WebhookError(OSError):
    """The report was not taken; the text says why, and not where to, which may be a secret."""


class Webhook:
    """One POST for each report, and one when its request has ended.

    Args:
        url: where to; http or https.
        secret: signs each request, see ``docs/delivery.md``; None: unsigned.
        format: ``json`` or ``slack``.
        private: True: the address may be inside the network, or on this host.
        allow: addresses and networks that it may go to besides, such as ``["169.254.7.0/24"]``.
        headers: to send with each request, such as ``Authorization``.

    Raises:
        ValueError: the address, the format or a header cannot be used.
    """

    # Seconds for the whole of it, but for the name's resolution.
    timeout = 10.0

    def __init__(  # noqa: PLR0913  each is a setting
        self,
        url: str,
        secret: str | None = None,
        *,
        format: str = "json",  # noqa: A002  the name of the setting
        private: bool = False,
        allow: str | Iterable[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        try:
            self._parts = urlsplit(url)
            _ = self._parts.port
        except ValueError:
            # What it says may be half of a password.
            raise ValueError(
                "the url of a webhook cannot be read: a / in it is written %2F"
            ) from None
        if self._parts.scheme not in {"http", "https"} or not self._parts.hostname:
            raise ValueError("the url of a webhook must begin with https:// or http://")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("the url of a webhook has a character that must be percent-encoded")
        if not _can_be_asked(self._parts):
            raise ValueError("the host or the port in the url of a webhook is none")
        if self._parts.username is not None:
            raise ValueError("no user in the url of a webhook; use headers")
        if format not in {"json", "slack"}:
            raise ValueError("the format of a webhook must be 'json' or 'slack'")
        self.secret = secret
        self.format = format
        self.private = private
        self.allow = networks(allow)
        self.headers = dict(headers or {})
        written = [text for pair in self.headers.items() for text in pair]
        if not all(text.isascii() and text.isprintable() for text in written):
            raise ValueError("a header of a webhook has a character that no header can have")

    def deliver(self, report: Report) -> None:
        """Posts it; raises OSError when it was not taken."""
        self._post(report, safe_id(report), report.kind)

    def follow_up(self, report: Report) -> None:
        """Posts that the request has ended."""
        self._post(report, f"{safe_id(report)}-finished", "finished")

    def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, report: Report, key: str, kind: str) -> None:
        message = slack_message(report) if self.format == "slack" else as_json(report, key, kind)
        body = json_line(message)[:-1]
        headers = {
            **self.headers,
            "Content-Type": "application/json",
            "User-Agent": "slowhound",
            "Connection": "close",
            "Slowhound-Id": key,
        }
        if self.secret is not None:
            stamp = str(int(clock.time()))
            headers["Slowhound-Timestamp"] = stamp
            headers["Slowhound-Signature"] = signature(self.secret, stamp, body)
        status = self._exchange(body, headers)
        if not 200 <= status < 300:
            raise WebhookError(f"the webhook answered {status}")

    def _exchange(self, body: bytes, headers: dict[str, str]) -> int:
        """Sends one request; the status of the answer."""
        end = clock.monotonic() + self.timeout
        parts = self._parts
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        sock = connect(host, port, end, private=self.private, allow=self.allow)
        try:
            if parts.scheme == "https":
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            connection = http.client.HTTPConnection(host, port)
            connection.sock = sock
            sock.settimeout(left(end))
            named = f"[{host}]" if ":" in host else host
            shown = named if parts.port is None else f"{named}:{parts.port}"
            connection.request("POST", target, body, {"Host": shown, **headers})
            return read_status(sock, end)
        except http.client.HTTPException as exc:
            raise WebhookError(f"the webhook could not be asked: {type(exc).__name__}") from None
        finally:
            sock.close()


def as_json(report: Report, key: str, kind: str) -> dict[str, Any]:
    """What a webhook gets; fields are only ever added."""
    finished = report.finished
    return {
        "id": key,
        "kind": kind,
        "headline": headline(report),
        "note": group_note(report),
        "group": report.fingerprint,
        "first_seen": report.first_seen,
        "held_back": report.held_back,
        "view": report.view,
        "request": report.request_line,
        "host": report.host,
        "pid": report.pid,
        "started": report.started,
        "verdict": report.verdict,
        "finished": None if finished is None else finished._asdict(),
        "ending": None if finished is None else end_note(finished),
        "event": report.event,
        "text": report.text()[:TEXT_LIMIT],
    }


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """``v1=`` and the HMAC-SHA256 of timestamp, a dot and the body, in hex."""
    signed = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def connect(
    host: str, port: int, end: float, *, private: bool, allow: Sequence[Network] = ()
) -> socket.socket:
    """A connection to the first allowed address that can be reached."""
    failed: OSError = WebhookError(
        "the webhook's name has no address that is allowed; private=True allows private ones,"
        " and allow=[...] those that it names"
    )
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, where in found:
        if not allowed(_address(where), private=private, allow=allow):
            continue
        try:
            return _connected(socket.socket(family, kind, protocol), where, end)
        except OSError as exc:
            failed = exc
    raise failed


def _can_be_asked(parts: SplitResult) -> bool:
    """False for a port that is no number, and a name that no resolver takes."""
    try:
        return parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False


def _connected(sock: socket.socket, where: tuple[Any, ...], end: float) -> socket.socket:
    """The socket, connected to what was looked at, scope and all: nothing is resolved again."""
    try:
        sock.settimeout(left(end))
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _address(where: tuple[Any, ...]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(where[0]).partition("%")[0])


def read_status(sock: socket.socket, end: float) -> int:
    """The status of the answer, of which nothing else is read."""
    answer = b""
    while b"\n" not in answer and len(answer) < STATUS_LINE:
        sock.settimeout(left(end))
        part = sock.recv(STATUS_LINE)
        if not part:
            break
        answer += part
    found = _STATUS.match(answer)
    if found is None:
        raise WebhookError("the webhook's answer is no HTTP")
    return int(found[1])


def left(end: float) -> float:
    """Seconds until ``end``; raises TimeoutError when it is past."""
    found = end - clock.monotonic()
    if found <= 0:
        raise TimeoutError("the webhook took too long")
    return found
