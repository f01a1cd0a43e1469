"""Mails, as a real SMTP server gets them and a real browser displays them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.test.utils import override_settings

from slowhound.core.observations import Snapshot
from slowhound.core.report import Report
from slowhound.delivery import backoff, sender
from slowhound.delivery.worker import Delivery
from slowhound.frames.frames import Frame
from slowhound.sinks import email
from slowhound.sinks.email import Email
from slowhound.system import guard
from tests.harness.browser import chromium, keep_image, needs_chromium, page_of
from tests.harness.ports import unused_port
from tests.harness.reports import dead_report, finished, slow_report
from tests.harness.smtp import Mailbox, smtp_server
from tests.harness.waiting import eventually

NASTY = "<img src=x onerror=alert(1)>\r\nBcc: all@example.com\r\n\r\n\x1b[31m\u202e</title>&\"'"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """An SMTP server that Django sends mail to."""
    with (
        smtp_server() as found,
        override_settings(
            EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
            EMAIL_HOST="127.0.0.1",
            EMAIL_PORT=found.port,
            DEFAULT_FROM_EMAIL="hound@shop.example",
        ),
    ):
        yield found


def sent(mailbox: Mailbox, report: Report, **options: Any) -> EmailMessage:
    Email("ops@shop.example", **options).deliver(report)
    return mailbox.mails[-1].message


def part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    assert found is not None
    return str(found.get_content())


def test_mail_says_first_what_matters(mailbox: Mailbox) -> None:
    """View and verdict in the subject, the whole report in the text, the same as a page."""
    message = sent(mailbox, slow_report(first_seen=True))
    assert message["Subject"] == "slowhound: Slow, stuck: shop.views.checkout (31.2 s)"
    assert message["From"] == "hound@shop.example"
    assert message["To"] == "ops@shop.example"
    assert message["Message-ID"] == "<request-1.slow@web-1>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "multipart/alternative"
    text, page = part(message, "plain"), part(message, "html")
    for shown in (text, page):
        assert "The first of its group." in shown
        assert "recv from 10.0.0.5:5432" in shown
        assert "in checkout" in shown
    assert "Undead request intercepted at" in text
    assert "shop_order" in page


def test_mail_says_how_many_were_held_back(mailbox: Mailbox) -> None:
    """In both of its forms."""
    message = sent(mailbox, slow_report(held_back=41))
    for kind in ("plain", "html"):
        assert "41 more of this group were held back" in part(message, kind)


def test_mail_of_a_death_names_its_cause(mailbox: Mailbox) -> None:
    """With the last stack and the SQL that was running."""
    message = sent(mailbox, dead_report())
    assert message["Subject"] == "slowhound: Worker died (oom): shop.views.import_all (12.5 s)"
    for kind in ("plain", "html"):
        text = part(message, kind)
        assert "shop/rows.py:7:read" in text
        assert "INSERT INTO shop_row VALUES (?)" in text


def test_mail_of_the_end_answers_the_first(mailbox: Mailbox) -> None:
    """A mail program shows both together."""
    sink = Email(["ops@shop.example"])
    sink.deliver(slow_report())
    sink.follow_up(slow_report(finished=finished()))
    first, end = (mail.message for mail in mailbox.mails)
    assert end["In-Reply-To"] == end["References"] == first["Message-ID"]
    assert end["Message-ID"] != first["Message-ID"]
    assert end["Subject"] == "slowhound: Finished after 40.5 s: shop.views.checkout"
    assert "status 200, outcome ok" in part(end, "plain")
    Email("ops@shop.example", follow_ups=False).follow_up(slow_report(finished=finished()))
    assert len(mailbox.mails) == 2


def test_plain_mail_is_that_of_dogslow(mailbox: Mailbox) -> None:
    """Its subject, and text only."""
    message = sent(mailbox, slow_report(), plain=True, sender="old@shop.example")
    assert message["Subject"] == "Slow Request Watchdog: GET http://shop.example/checkout/"
    assert message["From"] == "old@shop.example"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().startswith("Undead request intercepted at: ")


@pytest.mark.parametrize("plain", [False, True])
def test_client_adds_no_header_and_no_tag(mailbox: Mailbox, plain: bool) -> None:
    """Whatever the request's path is, and wherever it is displayed."""
    nasty = slow_report(
        request_line=NASTY,
        resp_view=NASTY,
        req_id=NASTY,
        req_route=NASTY,
        slow_loc=NASTY,
        host=NASTY,
        verdict=NASTY,
        snapshot=Snapshot(1.0, (Frame(NASTY, 1, NASTY),)),
    )
    for report in (nasty, dead_report(resp_view=NASTY, crash_stack=NASTY, crash_cause=NASTY)):
        message = sent(mailbox, report, plain=plain)
        assert message["Bcc"] is None
        assert mailbox.mails[-1].to == ["ops@shop.example"]
        assert len(message["Subject"].strip()) <= 200
        assert "\n" not in message["Message-ID"]
        for each in message.walk():
            text = "" if each.is_multipart() else str(each.get_content())
            assert "\x1b" not in text
            assert "\u202e" not in text
            if each.get_content_type() == "text/html":
                assert "<img" not in text
                assert "<script" not in text


def test_text_that_is_no_unicode_is_mailed(mailbox: Mailbox) -> None:
    """A file name of any bytes is in the mail in some form."""
    snapshot = Snapshot(1.0, (Frame("/srv/\udcff.py", 1, "f"),))
    message = sent(mailbox, slow_report(snapshot=snapshot, request_line="GET /\udcff"))
    assert "udcff" in part(message, "plain")
    assert "udcff" in part(message, "html")


@pytest.mark.slow
def test_mail_server_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without EMAIL_TIMEOUT; a timeout that is set is used."""
    monkeypatch.setattr(email, "DEFAULT_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": silent.getsockname()[1],
        }
        with override_settings(**settings), pytest.raises(OSError, match="timed out"):
            Email("ops@shop.example").deliver(slow_report())
        monkeypatch.setattr(email, "DEFAULT_TIMEOUT", 600.0)
        with (
            override_settings(**settings, EMAIL_TIMEOUT=1),
            pytest.raises(OSError, match="timed out"),
        ):
            Email("ops@shop.example").deliver(slow_report())


def test_mail_goes_out_once_the_server_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is down is tried again; the mail has the same id each time."""
    guard.loud = False
    for module in (backoff, sender):
        monkeypatch.setattr(module, "pause_after", lambda _failures: 0.02)
    settings = {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": unused_port(),
    }
    spec = {"sink": "slowhound.sinks.email.Email", "to": "ops@shop.example"}
    made = Delivery((spec,), str(tmp_path / "dir"))
    with override_settings(**settings):
        made.put(slow_report())
        eventually(lambda: guard.total > 2, "failures")
    with smtp_server() as mailbox, override_settings(**{**settings, "EMAIL_PORT": mailbox.port}):
        eventually(lambda: mailbox.mails, "the mail")
        made.stop(5)
        assert [mail.message["Message-ID"] for mail in mailbox.mails] == ["<request-1.slow@web-1>"]


@needs_chromium
@pytest.mark.slow
def test_page_reads_well(mailbox: Mailbox, tmp_path: Path) -> None:
    """In a browser: complete, without loading anything, no wider than a phone."""
    own = tuple(Frame("/srv/shop/" + "deep/" * 30 + "views.py", n, "checkout") for n in range(9))
    report = slow_report(
        held_back=12,
        snapshot=Snapshot(31.2, own),
        request_line="GET http://shop.example/" + "x" * 300,
    )
    page = part(sent(mailbox, report), "html")
    whole = replace(report, finished=finished())
    with chromium() as browser:
        for width in (360, 1000):
            with page_of(browser, viewport={"width": width, "height": 800}) as shown:
                requested: list[str] = []
                shown.on(
                    "request", lambda request, requested=requested: requested.append(request.url)
                )
                shown.set_content(page)
                assert shown.locator("h1").inner_text().startswith("Slow, stuck: shop.views")
                assert "12 more of this group" in shown.locator("body").inner_text()
                fits = "document.documentElement.scrollWidth <= window.innerWidth"
                assert shown.evaluate(fits), width
                assert [url for url in requested if not url.startswith("data:")] == []
        with page_of(browser, viewport={"width": 820, "height": 900}) as shown:
            shown.set_content(part(sent(mailbox, slow_report(first_seen=True)), "html"))
            keep_image(shown, "delivery-email", tmp_path, full_page=True)
        with page_of(browser) as shown:
            shown.set_content(part(sent(mailbox, whole), "html"))
            assert "Finished after 40.5" in shown.locator("h1").inner_text()
