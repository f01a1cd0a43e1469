"""Sends reports to Sentry, as events with real frames, linked to the trace of their request.

They are sent with the settings of the application's client, but by another client that sends at
once and learns whether the event arrived. The application's puts events into a queue in memory,
which is lost with a worker that dies and may never be emptied under gevent.
"""

from __future__ import annotations

import contextlib
import mimetypes
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings

from slowhound.config.config import load
from slowhound.config.legacy import apply
from slowhound.core.report import Report
from slowhound.event.formats import utf8
from slowhound.runtime.library_names import find, find_imported, has_all
from slowhound.sinks.sentry_event import event_id, event_of
from slowhound.sinks.wording import end_note
from slowhound.system.files import open_own

try:
    import sentry_sdk
    from sentry_sdk.integrations.logging import ignore_logger
except ImportError as exc:
    raise ImportError(f"{exc}; pip install 'slowhound[sentry]'") from exc

if TYPE_CHECKING:
    from sentry_sdk.client import BaseClient

TRANSPORT = (
    "sentry_sdk.transport.HttpTransport",
    "sentry_sdk.transport.HttpTransport._send_envelope",
    "sentry_sdk.transport.HttpTransport.on_dropped_event",
    "sentry_sdk.transport.HttpTransport.TIMEOUT",
)
OPTIONS, OF_CLIENT = (
    "sentry_sdk.client.BaseClient:options",
    "sentry_sdk.client.BaseClient:transport",
)
OF_FILES = "sentry_sdk.envelope.Envelope", "sentry_sdk.envelope.Item"
# The consequences where Sentry's classes have changed.
QUEUED = "reports go into Sentry's own queue in memory, and are lost where a worker dies"
NO_FOLLOW_UP = "how its request has ended is not added to an event"
BARE = "reports have no tags and no attachments of the application's scope"
ATTACHMENT_LIMIT = 2 * 1024**2  # bytes; a larger file is left out
# The files of a flame graph: its drawings, else its data.
PROFILE_SUFFIX = ".flame.json.gz"
DRAWING_SUFFIXES = (".speedscope.json", ".svg")
# Options of the application's client that are used. Not its sampling: reports are few.
CLIENT_OPTIONS = (
    "dsn",
    "release",
    "environment",
    "dist",
    "debug",
    "before_send",
    "event_scrubber",
    "max_value_length",
    "in_app_include",
    "in_app_exclude",
    "project_root",
    "ca_certs",
    "cert_file",
    "key_file",
    "http_proxy",
    "https_proxy",
    "proxy_headers",
    "socket_options",
)


class _AtOnce:
    """Makes a transport of Sentry's send at once, in the calling thread.

    Raises:
        ConnectionError: Sentry refused the envelope (or an error of urllib3: it does not answer).
    """

    TIMEOUT = 10
    refused = ""
    _send_envelope: Callable[[Any], None]

    def capture_envelope(self, envelope: Any) -> None:
        """Sends one envelope."""
        self.refused = ""
        self._send_envelope(envelope)
        if self.refused:
            raise ConnectionError(f"Sentry did not take the report: {self.refused}")

    def on_dropped_event(self, reason: str) -> None:
        """Called for what Sentry did not take."""
        self.refused = reason


def _direct() -> type | None:
    """The transport that sends at once; None where Sentry's own has changed."""
    whole = has_all(TRANSPORT, QUEUED)
    return type("Direct", (_AtOnce, HttpTransport), {}) if whole else None


HttpTransport: Any = find("sentry_sdk.transport.HttpTransport")
Direct = _direct()


class Attachment(NamedTuple):
    """A file beside an event."""

    bytes: bytes
    filename: str


class Sentry:
    """One event for each report.

    Args:
        dsn: of the project; None: as the application has called ``sentry_sdk.init``.
        options: more options as for ``sentry_sdk.init``; only used with ``dsn``.
    """

    def __init__(self, dsn: str | None = None, **options: Any) -> None:
        self._given = {"dsn": dsn, **options} if dsn else None
        self._made_for: BaseClient | None = None
        self._client: BaseClient | None = None
        # slowhound's own log messages must not become events.
        ignore_logger("slowhound")

    def deliver(self, report: Report) -> None:
        """Sends the event and its attachments.

        Raises:
            ConnectionError: Sentry did not take it.
            RuntimeError: there is no client: no ``dsn``, and ``sentry_sdk.init`` was not called.
        """
        client = self._ready()
        if client is None:
            return
        scope = sentry_sdk.Scope()
        if find("sentry_sdk.Scope.update_from_scope", BARE) is not None:
            scope.update_from_scope(sentry_sdk.get_global_scope())
        for attachment in _attachments(report, "report.txt", report.text()):
            scope.add_attachment(bytes=attachment.bytes, filename=attachment.filename)
        client.capture_event(event_of(report), scope=scope)

    def follow_up(self, report: Report) -> None:
        """Adds to the event how the request ended, and the flame graph that it left.

        Raises:
            ConnectionError: Sentry did not take it.
        """
        client = self._ready()
        transport = getattr(client, "transport", None)
        if transport is None or report.finished is None or not has_all(OF_FILES, NO_FOLLOW_UP):
            return
        envelope_class, item_class = map(find_imported, OF_FILES)
        text = f"{end_note(report.finished)}\n\n{report.finished.verdict}\n"
        envelope = envelope_class(headers={"event_id": event_id(report)})
        for each in _attachments(report, "finished.txt", text):
            kind = mimetypes.guess_type(each.filename)[0]
            envelope.add_item(
                item_class(
                    payload=each.bytes, type="attachment", content_type=kind, filename=each.filename
                )
            )
        transport.capture_envelope(envelope)

    def close(self) -> None:
        """Nothing is queued: what was delivered is sent."""
        if self._client is not None:
            self._client.close(timeout=0)

    def _ready(self) -> BaseClient | None:
        """The client; None where the application uses Sentry without a DSN: then it is off."""
        apps_client = sentry_sdk.get_client()
        if self._given is not None:
            if self._client is None:
                self._client = _client(self._given)
            return self._client
        if not apps_client.is_active():
            raise RuntimeError("sentry_sdk.init was not called, and the sink has no dsn")
        if not has_all((OPTIONS, OF_CLIENT), QUEUED):
            return apps_client
        if apps_client.transport is None:
            return None
        if Direct is None or not isinstance(apps_client.transport, HttpTransport):
            return apps_client  # the application has a transport of its own
        if self._made_for is not apps_client:
            self.close()
            kept = {
                name: apps_client.options[name]
                for name in CLIENT_OPTIONS
                if name in apps_client.options
            }
            self._client, self._made_for = _client(kept), apps_client
        return self._client


def _client(options: dict[str, Any]) -> BaseClient:
    """A client that only sends: no integration, no session, no trace."""
    client: BaseClient = sentry_sdk.Client(
        **{
            "default_integrations": False,
            "auto_enabling_integrations": False,
            "auto_session_tracking": False,
            "send_client_reports": False,
            **options,
            # Without a release the SDK runs git to find one, which under gevent fails here.
            "release": options.get("release") or "",
            **({} if Direct is None else {"transport": Direct}),
        }
    )
    if find(OPTIONS, QUEUED) is not None:
        client.options["release"] = options.get("release")
    return client


def _attachments(report: Report, name: str, text: str) -> list[Attachment]:
    found = [Attachment(bytes=utf8(text).encode()[:ATTACHMENT_LIMIT], filename=name)]
    if report.flame is not None:
        base = os.path.join(_flames(), os.path.basename(report.flame).removesuffix(PROFILE_SUFFIX))
        drawn = [_file(base + suffix) for suffix in DRAWING_SUFFIXES]
        found += [each for each in drawn if each is not None] or [
            each for each in (_file(base + PROFILE_SUFFIX),) if each is not None
        ]
    return found


def _file(path: str) -> Attachment | None:
    """A file of the flame graph, if it is there and not too large."""
    with contextlib.suppress(OSError):
        with open(open_own(path), "rb") as file:
            data = file.read(ATTACHMENT_LIMIT + 1)
        if len(data) <= ATTACHMENT_LIMIT:
            return Attachment(bytes=data, filename=os.path.basename(path))
    return None


def _flames() -> str:
    given = getattr(settings, "SLOWHOUND", {})
    config = apply(load(given), given, lambda name, default: getattr(settings, name, default))
    return config.flames_dir or os.path.join(config.dir, "flames")
