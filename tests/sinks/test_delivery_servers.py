"""Delivery in real workers: deaths, restarts, several workers of one DIR."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.harness.gil import PATIENT, ask, wait_for_hounds
from tests.harness.hook import Hook, hook_server
from tests.harness.launch import Launcher
from tests.harness.ports import unused_port
from tests.harness.recorded import READ_BY
from tests.harness.site import Site
from tests.harness.smtp import smtp_server
from tests.harness.timeouts import NEVER, in_flight, make_overdue
from tests.harness.waiting import eventually

pytestmark = [pytest.mark.server, pytest.mark.slow]


def webhook(hook: Hook) -> dict[str, Any]:
    return {"sink": "slowhound.sinks.webhook.Webhook", "url": hook.url, "private": True}


def kinds(hook: Hook) -> list[str]:
    return [posted.json["kind"] for posted in hook.posted]


def wait_slow(site: Site, gate: str) -> None:
    """One slow request, which is reported while it waits, and its end."""
    answer = site.start(f"/gate/{gate}/")
    site.wait_report(f"/gate/{gate}/")
    site.gate(gate).open()
    event = site.terminal(answer.result().agent)
    assert event.get("report"), f"{event}\n{site.process.transcript()}"


def test_slow_request_is_told_of_and_its_end(serve: Launcher) -> None:
    """First that it is slow, while it runs; then how it ended."""
    with hook_server() as hook:
        site = serve(settings={"SLOW_AFTER": 0.2, "SINKS": [webhook(hook)]})
        answer = site.start("/gate/reported/")
        eventually(
            lambda: kinds(hook) == ["slow"], "the report", transcript=site.process.transcript
        )
        site.gate("reported").open()
        answer.result()
        eventually(lambda: kinds(hook) == ["slow", "finished"], "its end")
        first, end = (posted.json for posted in hook.posted)
        event = site.terminal(answer.result().agent)
        assert first["event"]["req_id"] == end["event"]["req_id"] == event["req_id"]
        assert first["first_seen"]
        assert end["finished"]["outcome"] == "ok"
        assert end["finished"]["seconds"] == pytest.approx(event["resp_time"])


def test_dead_workers_report_is_sent_by_a_living_one(serve: Launcher) -> None:
    """The arbiter writes it and sends nothing itself; the new worker does, without a request."""
    with hook_server() as hook:
        site = serve(settings={"SLOW_AFTER": 60, "SINKS": [webhook(hook)]})
        pid = site.worker_pids()[0]
        wire = site.open("/gate/dies/")
        site.gate("dies").wait_entered()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: hook.posted, "the death", transcript=site.process.transcript)
        (posted,) = hook.posted
        assert posted.json["kind"] == "crash"
        assert posted.json["pid"] == pid
        assert posted.json["event"]["crash_signal"] == "SIGKILL"
        assert "Worker died (signal)" in posted.json["headline"]
        site.read_all([wire])
        assert site.stop() == 0
        assert len(hook.posted) == 1


def test_aborted_worker_tells_of_its_timeout(serve: Launcher) -> None:
    """Gunicorn's own timeout is a report as well: from the worker itself, or from the next one."""
    with hook_server() as hook:
        site = serve(
            settings={"SLOW_AFTER": 60, "SINKS": [webhook(hook)]},
            conf=NEVER,
        )
        wire = site.open("/gate/late/")
        make_overdue(in_flight(site, "/gate/late/", stack="wait_at").pid)
        eventually(lambda: hook.posted, "the timeout", transcript=site.process.transcript)
        (posted,) = hook.posted
        assert posted.json["kind"] == "timeout"
        assert "wait_at" in posted.json["text"]
        site.read_all([wire])


def test_restart_loses_nothing(serve: Launcher, tmp_path: Path) -> None:
    """What could not be mailed before is mailed after it; the limit is the same."""
    folder = tmp_path / "shared"
    email = {"sink": "slowhound.sinks.email.Email", "to": "ops@shop.example"}
    settings = {
        "SLOW_AFTER": 0.2,
        "DIR": str(folder),
        "SINKS": [email],
        "REPORT_LIMIT": (1, 3600),
    }
    django = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": unused_port()}
    site = serve(settings=settings, django=django, warm=True)  # imports are a group of their own
    for number in range(4):
        wait_slow(site, f"gate{number}")
    assert site.stop() == 0
    before, _ = seen_and_held(folder)
    assert before >= 4
    sent = len(list(folder.glob("delivery/*.due")))
    assert sent >= 1
    with smtp_server() as mailbox:
        ready = {**django, "EMAIL_PORT": mailbox.port}
        again = serve(settings=settings, django=ready, warm=True)
        eventually(
            lambda: not list(folder.glob("delivery/*.due")),
            "an empty spool",
            transcript=again.process.transcript,
        )
        assert len({mail.message["Message-ID"] for mail in mailbox.mails}) == sent
        wait_slow(again, "another")
        assert again.stop() == 0
        seen, held = seen_and_held(folder)
        first = [mail for mail in mailbox.mails if "In-Reply-To" not in mail.message]
        assert seen > before
        assert len(first) == seen - held
        assert held >= 1  # there are not five ways to wait at a gate


def seen_and_held(folder: Path) -> tuple[int, int]:
    """How many reports there were, and how many of them were not sent."""
    try:
        text = (folder / "delivery" / "groups.json").read_text()
    except FileNotFoundError:
        return 0, 0
    groups = json.loads(text)["groups"].values()
    return sum(group["seen"] for group in groups), sum(group["held"] for group in groups)


def test_workers_of_one_dir_are_one_sender(serve: Launcher) -> None:
    """A flood in two workers: as many messages as from one, and each request is counted."""
    with hook_server() as hook:
        settings = {"SLOW_AFTER": 0.1, "SINKS": [webhook(hook)], "REPORT_LIMIT": (1, 3600)}
        site = serve(workers=2, worker="gthread", threads=8, settings=settings)
        # As many as one worker can have: they may be spread in any way.
        answers = [site.start("/gate/flood/") for _ in range(8)]
        eventually(lambda: len(site.reports()) == 8, "the reports")
        site.gate("flood").open()
        assert {answer.result().status for answer in answers} == {200}

        def all_are_sent() -> bool:
            seen, held = seen_and_held(site.dir)
            return seen == 8 and kinds(hook).count("slow") == seen - held

        eventually(
            all_are_sent, "each of 8 is sent, or held back", transcript=site.process.transcript
        )
        assert site.stop() == 0
        ids = [posted.headers["Slowhound-Id"] for posted in hook.posted]
        assert len(ids) == len(set(ids))
        assert all_are_sent()


def test_worker_that_cannot_run_is_told_of_by_another_process(serve: Launcher) -> None:
    """While its GIL is held; later it sends no second report, but how the request ended."""
    with hook_server() as hook:
        settings = {"SLOW_AFTER": 1.0, "SINKS": [webhook(hook)]}
        # What waits to be sent by a process that cannot run stays there: no report of an import.
        site = serve(workers=2, settings=settings, conf=PATIENT, warm=True)
        wait_for_hounds(site)
        held = ask(site, "held", "/gil/native/held/")
        held.wait_begun()

        def sent() -> list[dict[str, Any]]:
            found = [posted.json for posted in list(hook.posted)]
            return [each for each in found if "/held/" in each["request"]]

        eventually(sent, "the report", deadline=20, transcript=site.process.transcript)
        assert not held.answer.done()
        held.release()
        event = held.wait_end()
        eventually(lambda: len(sent()) == 2, "its end", transcript=site.process.transcript)
        assert site.stop() == 0
        assert [each["kind"] for each in sent()] == ["slow", "finished"]
        assert {each["event"]["req_id"] for each in sent()} == {event["req_id"]}
        assert sent()[0]["event"]["slow_stack_by"] == READ_BY
