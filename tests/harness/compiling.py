"""Lists what slowhound's threads parse or compile in a process without bytecode files.

A program, run with a folder: prints a JSON list of lines, one for each time that the parser or the
compiler ran on a thread of slowhound's, or to format an exception that slowhound has caught.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.harness.hook import Hook

FOLDER = Path(sys.argv[1])
found: list[str] = []
lock = threading.Lock()


def hook(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: the parser and the compiler raise events (ast.parse, import, eval)."""
    if event == "exec":
        name = args[0].co_filename  # "<string>" for compiled text; an import has a file
        if name != "<string>":
            return
    elif event != "compile":
        return
    stack, frame = [], sys._getframe(1)
    while frame is not None:
        stack.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back  # type: ignore[assignment]
    ours = stack[-1].endswith("/os_thread.py:_run")
    if ours or any("/guard.py:" in each for each in stack):
        shown = [each for each in stack if "importlib" not in each]
        what = args[1] if event == "compile" else "text"
        found.append(f"{what} by {' < '.join(shown)}")


def main() -> None:
    from django.conf import settings

    from tests.harness.hook import hook_server

    with hook_server() as webhook:
        logger = {"sink": "slowhound.sinks.logger.PythonLogger", "name": "reports"}
        email = {"sink": "slowhound.sinks.email.Email", "to": ["somebody@example.com"]}
        web = {"sink": "slowhound.sinks.webhook.Webhook", "url": webhook.url, "private": True}
        settings.configure(
            SECRET_KEY="-",
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
            MIDDLEWARE=["slowhound.middleware.SlowhoundMiddleware"],
            SLOWHOUND={
                "DIR": str(FOLDER / "slowhound"),
                "STREAM": None,
                "SLOW_AFTER": 0.2,
                "SAMPLE_AFTER": 0.05,
                "LOCALS": True,
                "FLAMES": {"ALLOW": f"{__name__}.anybody", "EVERY": 0},
                "SINKS": [logger, email, web],
            },
        )
        logging.basicConfig(filename=FOLDER / "log", level=logging.INFO)
        drive(webhook)


def anybody(request: object) -> bool:
    """Every client may have a flame graph."""
    return True


def drive(webhook: Hook) -> None:
    """Makes a slow request, one that waits for a lock, a flame graph, failures, deliveries."""
    import django
    from django.core import mail
    from django.http import HttpRequest, HttpResponse
    from django.test import Client
    from django.urls import path

    from slowhound.system import guard
    from slowhound.system.os_thread import OsThread
    from tests.harness.waiting import eventually

    def slow(request: HttpRequest) -> HttpResponse:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            sum(range(1000))
        return HttpResponse()

    def waits(request: HttpRequest) -> HttpResponse:
        with lock:
            return HttpResponse()

    global urlpatterns
    urlpatterns = [path("slow/", slow), path("waits/", waits)]
    django.setup()
    mail.outbox = []
    mail.get_connection()  # imports the backend, as an application that sends mail has done
    Client().get("/")  # loads the middleware, as a server does before its first request
    sys.addaudithook(hook)

    Client().get("/slow/")
    lock.acquire()
    waiting = threading.Thread(target=lambda: Client().get("/waits/"))
    waiting.start()
    log = FOLDER / "log"
    eventually(lambda: "/waits/" in log.read_text(), "its report")
    lock.release()
    waiting.join()
    Client().get("/slow/?flames")
    flames = FOLDER / "slowhound" / "flames"
    eventually(lambda: list(flames.glob("*.speedscope.json")), "the drawings")

    def fails(_: object) -> None:
        with guard.guard("a part of ours"):
            {}["none"]

    def fails_unguarded(_: object) -> None:
        {}["none"]

    for run in (fails, fails_unguarded):
        thread = OsThread(run)
        thread.start()
        eventually(lambda thread=thread: not thread.alive(), "its end")
    fails(None)
    with guard.guard("another part"):
        {}["none"]
    # Three slow requests, and the ends of them.
    eventually(lambda: len(webhook.posted) >= 6, "the webhook's", transcript=log.read_text)
    eventually(lambda: len(mail.outbox) >= 6, "the mails")
    from slowhound.recorder import process

    process.stop()
    for text in ("a part of ours failed", "another part failed", "thread failed", "Slow Request"):
        assert text in log.read_text(), text


if __name__ == "__main__":
    urlpatterns: list[Any] = []
    main()
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)
