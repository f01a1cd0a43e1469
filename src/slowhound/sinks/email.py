"""Sends reports by email with Django's mail settings, as plain text and HTML."""

from __future__ import annotations

import re
from typing import Any

from django.core import mail
from django.core.mail import EmailMultiAlternatives

from slowhound.core.report import Report
from slowhound.event.formats import one_line
from slowhound.sinks.email_html import page
from slowhound.sinks.wording import cut, headline, opening, safe_id

SUBJECT_LIMIT = 200
# Seconds, if EMAIL_TIMEOUT is not set: a mail server that does not answer would block for ever.
DEFAULT_TIMEOUT = 15.0
_NOT_IN_HOSTS = re.compile(r"[^A-Za-z0-9.-]")


class Email:
    """One mail for each report, and one when its request has ended.

    Args:
        to: addresses.
        sender: the From address; None: Django's ``DEFAULT_FROM_EMAIL``.
        plain: the mail as dogslow sent it: its subject, and text only.
        follow_ups: False: no mail when a request has ended.
    """

    def __init__(
        self,
        to: list[str] | tuple[str, ...] | str,
        sender: str | None = None,
        *,
        plain: bool = False,
        follow_ups: bool = True,
    ) -> None:
        self.to = [to] if isinstance(to, str) else list(to)
        self.sender = sender
        self.plain = plain
        self.follow_ups = follow_ups

    def deliver(self, report: Report) -> None:
        """Sends the mail; raises what Django's mail raises, and is tried again."""
        self._send(report, {"Message-ID": f"<{_id(report)}>"})

    def follow_up(self, report: Report) -> None:
        """Replies to its own mail: the request has ended."""
        if self.follow_ups:
            first = f"<{_id(report)}>"
            headers = {"Message-ID": f"<end.{_id(report)}>"}
            self._send(report, {**headers, "In-Reply-To": first, "References": first})

    def _send(self, report: Report, headers: dict[str, str]) -> None:
        if self.plain and report.kind == "slow":
            subject, text = f"Slow Request Watchdog: {one_line(report.request_line)}", report.text()
        else:
            subject = f"slowhound: {headline(report)}"
            text = "\n".join(opening(report)) + "\n\n" + report.text()
        message = EmailMultiAlternatives(
            cut(subject, SUBJECT_LIMIT),
            _writable(text),
            self.sender,
            self.to,
            headers={**headers, "Auto-Submitted": "auto-generated"},
        )
        if not self.plain:
            message.attach_alternative(_writable(page(report)), "text/html")
        _connection().send_messages([message])

    def close(self) -> None:
        """Nothing is kept open."""


def _connection() -> Any:
    # Django 6.1 has mailers, and deprecates get_connection().
    mailers = getattr(mail, "mailers", None)
    connection: Any = mail.get_connection() if mailers is None else mailers.default
    if getattr(connection, "timeout", DEFAULT_TIMEOUT) is None:
        connection.timeout = DEFAULT_TIMEOUT
    return connection


def _id(report: Report) -> str:
    """The same at each try, so that a mail program shows the mail once."""
    host = _NOT_IN_HOSTS.sub("-", report.host).strip(".-") or "localhost"
    return f"{safe_id(report)}@{host}"


def _writable(text: str) -> str:
    # A surrogate in a source line cannot be encoded; a mail without it is better than none.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
