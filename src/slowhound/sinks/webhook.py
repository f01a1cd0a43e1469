"""Posts reports to a URL, as JSON or in Slack's format, signed if there is a secret.

The URL comes from the settings only. So that a redirect, a name or a proxy does not lead into the
internal network:

- only http and https are allowed, and redirects are not followed: a status outside 200 to 299 is a
  failure;
- the name is resolved once, and the connection goes to an address that was checked: private and
  loopback ones are allowed with ``private=True``; link-local ones, tunnels and cloud metadata only
  if ``allow`` names them (see ``addresses``);
- proxies of the environment are not used: they would resolve the name themselves.
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

# Only the first line of the response is read.
STATUS_LINE_LIMIT = 1024
REPORT_TEXT_LIMIT = 100_000
_STATUS = re.compile(rb"HTTP/1\.[01] +(\d{3})(?:[ \r\n]|$)")


class WebhookError(OSError):
    """The report was not accepted; the text has the reason and not the URL, which may be secret."""


class Webhook:
    """One POST for each report, and one when its request has ended.

    Args:
        url: http or https.
        secret: signs each request, see ``docs/delivery.md``; None: unsigned.
        format: ``json`` or ``slack``.
        private: True: the address may be in the internal network, or on this host.
        allow: more addresses and networks that are allowed, such as ``["169.254.7.0/24"]``.
        headers: to send with each request, such as ``Authorization``.

    Raises:
        ValueError: the address, the format or a header cannot be used.
    """

    # Seconds for the whole request, except for resolving the name.
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
            # Its text may contain a part of a password.
            raise ValueError(
                "the url of a webhook cannot be read: a / in it is written %2F"
            ) from None
        if self._parts.scheme not in {"http", "https"} or not self._parts.hostname:
            raise ValueError("the url of a webhook must begin with https:// or http://")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("the url of a webhook has a character that must be percent-encoded")
        if not _is_valid_host(self._parts):
            raise ValueError("the host or the port in the url of a webhook is not valid")
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
        """Posts the report; raises OSError when it was not accepted."""
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
        """Sends one request; returns the status of the response."""
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
            raise WebhookError(f"the request to the webhook failed: {type(exc).__name__}") from None
        finally:
            sock.close()


def as_json(report: Report, key: str, kind: str) -> dict[str, Any]:
    """The body of the request; fields are only ever added."""
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
        "text": report.text()[:REPORT_TEXT_LIMIT],
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
    for family, kind, protocol, _, address in found:
        if not allowed(_ip(address), private=private, allow=allow):
            continue
        try:
            return _connected(socket.socket(family, kind, protocol), address, end)
        except OSError as exc:
            failed = exc
    raise failed


def _is_valid_host(parts: SplitResult) -> bool:
    """False for port 0, and for a name that no resolver accepts."""
    try:
        return parts.port != 0 and bool((parts.hostname or "").encode("idna"))
    except ValueError:
        return False


def _connected(sock: socket.socket, address: tuple[Any, ...], end: float) -> socket.socket:
    """The socket, connected to the address that was checked, with its scope: not resolved again."""
    try:
        sock.settimeout(left(end))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _ip(address: tuple[Any, ...]) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(address[0]).partition("%")[0])


def read_status(sock: socket.socket, end: float) -> int:
    """The status of the response, of which nothing else is read."""
    answer = b""
    while b"\n" not in answer and len(answer) < STATUS_LINE_LIMIT:
        sock.settimeout(left(end))
        part = sock.recv(STATUS_LINE_LIMIT)
        if not part:
            break
        answer += part
    found = _STATUS.match(answer)
    if found is None:
        raise WebhookError("the webhook's answer is not HTTP")
    return int(found[1])


def left(end: float) -> float:
    """Seconds until ``end``; raises TimeoutError when it is past."""
    found = end - clock.monotonic()
    if found <= 0:
        raise TimeoutError("the webhook took too long")
    return found
