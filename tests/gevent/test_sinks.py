"""Sinks under gevent: on a thread of the system's, whatever the greenlets do."""

from __future__ import annotations

from typing import Any

from tests.gevent.conftest import URLS, Greenlets
from tests.harness.gil import ask
from tests.harness.recorded import TERMINAL
from tests.harness.smtp import Mail, Mailbox, smtp_server
from tests.harness.waiting import eventually

EMAIL = {"sink": "slowhound.sinks.email.Email", "to": "ops@example.com"}


def django(mailbox: Mailbox) -> dict[str, Any]:
    """Django's settings for this server."""
    return {**URLS, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": mailbox.port}


def text_of(mail: Mail) -> str:
    """The text of a mail, as it was written."""
    found = mail.message.get_body(("plain",))
    assert found is not None
    return str(found.get_content()).replace("\r\n", "\n")


def all_text(mailbox: Mailbox) -> str:
    return "".join(text_of(mail) for mail in mailbox.mails)


def test_mail_goes_out_while_a_greenlet_blocks_the_hub(greenlets: Greenlets) -> None:
    """A report is sent over a real SMTP connection before the request that blocks has ended."""
    with smtp_server() as mailbox:
        site = greenlets(
            settings={"SLOW_AFTER": {"spin": 0.3, "*": 60}, "SINKS": [EMAIL]},
            django=django(mailbox),
        )
        site.get("/fast/")  # imports the views
        held = ask(site, "mailed", "/spin/mailed/")
        eventually(
            lambda: "/spin/mailed/" in all_text(mailbox),
            "a mail",
            transcript=site.process.transcript,
        )
        assert not held.events(*TERMINAL)
        held.release()
        assert held.wait_end()["report"]
        mail = next(mail for mail in mailbox.mails if "/spin/mailed/" in text_of(mail))
        assert mail.to == ["ops@example.com"]
        assert ", in _spins\n" in text_of(mail)
        assert site.stop() == 0


def test_what_is_queued_goes_out_when_the_worker_stops(greenlets: Greenlets) -> None:
    """Each of many reports of one moment is mailed, or kept where the stop had no time for it."""
    with smtp_server() as mailbox:
        settings = {"SLOW_AFTER": 0.2, "SINKS": [EMAIL], "REPORT_LIMIT": None}
        site = greenlets(settings=settings, django=django(mailbox))
        agents = [site.start("/waits/in_sleep/all/?badge=any") for _ in range(10)]
        site.gate("all").wait_entered()
        eventually(lambda: len(site.reports()) == len(agents), "ten reports")
        site.gate("all").open()
        assert {answer.result().status for answer in agents} == {200}
        assert site.stop() == 0
        ids = {
            mail.message["Message-ID"].removeprefix("<end.").strip("<") for mail in mailbox.mails
        }
        kept = list(site.dir.glob("delivery/*.due"))
        assert 0 < len(ids) <= len(agents)
        assert len(ids) + len(kept) >= len(agents)


def test_sink_that_hangs_holds_up_no_greenlet(greenlets: Greenlets) -> None:
    """A sink sleeps in its thread: requests are answered, further reports written, the stop is."""
    settings = {"SLOW_AFTER": 0.2, "SINKS": ["tests.site.sinks.SleepingSink"]}
    site = greenlets(settings=settings, conf="graceful_timeout = 300")
    first = ask(site, "first", "/gate/first/")
    eventually((site.scratch / "sink.txt").exists, "the sink was tried")
    second = site.start("/waits/in_sleep/second/?badge=any")
    site.wait_report("/waits/in_sleep/second/")
    assert site.get("/fast/").text == "fast"
    for name in ("first", "second"):
        site.gate(name).open()
    assert first.wait_end()["report"]
    assert site.terminal(second.result().agent)["report"]
    assert site.stop() == 0
