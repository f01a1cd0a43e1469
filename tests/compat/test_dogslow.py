"""dogslow's settings keep their defaults and meaning after one changed import line."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slowhound.config.config import load
from slowhound.config.legacy import apply
from tests.harness.launch import Launcher
from tests.harness.recorded import Report
from tests.harness.site import Site
from tests.harness.smtp import Mailbox, smtp_server
from tests.harness.waiting import eventually

MIDDLEWARE = ["slowhound.compat.dogslow.WatchdogMiddleware"]
STAMP = r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d UTC"
ISO = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
TIMER = 0.3

Watchdog = Callable[..., Site]

# A handler that keeps its records, with the attributes that are not logging's own.
KEEPER = """
import json, logging
class Keeper(logging.Handler):
    def __init__(self, path):
        super().__init__()
        self.path = path
    def emit(self, record):
        kept = {"level": record.levelname, "message": record.getMessage(), "name": record.name}
        for name in ("culprit", "stack"):
            kept[name] = getattr(record, name, None)
        with open(self.path, "a") as file:
            file.write(json.dumps(kept, default=str) + "\\n")
"""


class Scratch:
    """A server with the drop-in middleware only, and its own temporary folder."""

    def __init__(self, serve: Launcher, folder: Path) -> None:
        self.serve = serve
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.keeper = folder / "keeper.py"
        self.keeper.write_text(KEEPER)
        self.kept = folder / "kept.jsonl"

    def __call__(self, *, gunicorn: bool = False, **django: Any) -> Site:
        """Starts a server with these settings of dogslow."""
        wishes: dict[str, Any] = {
            "settings": None,
            "warm": True,  # the import of the views must not pass the threshold of 0.3 s
            "django": {"MIDDLEWARE": MIDDLEWARE, **django},
            "env": {"TMPDIR": str(self.temporary)},
            "python_path": [str(self.keeper.parent)],
        }
        return self.serve(**wishes) if gunicorn else self.serve.wsgiref(**wishes)

    def reports(self, folder: Path | None = None) -> list[Report]:
        """The report files in dogslow's folder."""
        found = (folder or self.temporary).glob("slow_request_*.log")
        return [Report(path, path.read_text()) for path in sorted(found)]

    def wait_report(self, *texts: str, folder: Path | None = None) -> Report:
        """The first report with these texts."""
        return eventually(
            lambda: next(
                (r for r in self.reports(folder) if all(text in r.text for text in texts)), None
            ),
            f"a report with {texts}",
            transcript=lambda: "\n".join(site.process.transcript() for site in self.serve.sites),
        )

    def logging(self) -> dict[str, Any]:
        """LOGGING with that handler at the logger `dogslow`."""
        return {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"keep": {"class": "keeper.Keeper", "path": str(self.kept)}},
            "loggers": {"dogslow": {"level": "DEBUG", "handlers": ["keep"]}},
        }

    def wait_kept(self) -> dict[str, Any]:
        """The first log record at that logger."""
        eventually(
            lambda: self.kept.exists() and self.kept.read_text().endswith("\n"),
            "a log record",
            transcript=self.serve.sites[-1].process.transcript,
        )
        record: dict[str, Any] = json.loads(self.kept.read_text().splitlines()[0])
        return record


@pytest.fixture
def watchdog(serve: Launcher, tmp_path: Path) -> Scratch:
    """Starts servers with dogslow's settings."""
    return Scratch(serve, tmp_path)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """A real SMTP server."""
    with smtp_server() as running:
        yield running


def slow(site: Site, path: str = "/gate/slow/") -> Any:
    """A request that waits at its gate until `release`."""
    answer = site.start(path)
    site.gate("slow").wait_entered()
    return answer


def release(site: Site, answer: Any) -> None:
    site.gate("slow").open()
    assert answer.result().status == 200


@pytest.mark.parametrize("gunicorn", [False, True], ids=["wsgiref", "Gunicorn"])
def test_middleware_alone_is_enough(watchdog: Scratch, gunicorn: bool) -> None:
    """With the middleware alone, a slow request leaves its file in the temporary folder."""
    site = watchdog(gunicorn=gunicorn, DOGSLOW_TIMER=TIMER)
    answer = slow(site)
    report = watchdog.wait_report("/gate/slow/", ", in gated")
    release(site, answer)
    assert report.path.stat().st_mode & 0o077 == 0
    assert site.get("/ok/").status == 200
    site.stop()
    assert site.output() == []  # dogslow never printed a line per request
    assert len(watchdog.reports()) == 1


def test_layout_of_the_report(watchdog: Scratch) -> None:
    """The report has every line of dogslow's up to the stack, in the same order and format."""
    site = watchdog(DOGSLOW_TIMER=TIMER)
    answer = slow(site, "/gate/slow/?page=2")
    text = watchdog.wait_report("/gate/slow/").text
    release(site, answer)
    wanted = [
        rf"Undead request intercepted at: {STAMP} \({ISO}\)",
        "",
        rf"GET http://{re.escape(site.address.authority)}/gate/slow/\?page=2",
        rf"Hostname:   {re.escape(socket.gethostname())}",
        r"Thread ID:  \d+",
        rf"Process ID: {site.process.pid}",
        rf"Started:    {STAMP}",
        "",
        r'  File ".+", line \d+, in \S+',
        r"    \S.*",
        r'  File ".*/tests/site/views/waiting.py", line \d+, in gated',
        r"    wait_at\(gate\)  # mark: gated",
        r'  File ".*/tests/site/gates.py", line \d+, in wait_at',
    ]
    lines = iter(text.split("\n"))
    for pattern in wanted:
        assert any(re.fullmatch(pattern, line) for line in lines), f"{pattern}\n{text}"
    head = text.split("\n")[:9]
    assert [line for line in head if not any(re.fullmatch(each, line) for each in wanted)] == [
        line for line in head if line.startswith("Parent PID: ")
    ]


def test_default_timer_is_25_seconds(watchdog: Scratch) -> None:
    """Without DOGSLOW_TIMER a request of a second is not slow."""
    site = watchdog()
    assert site.get("/sleep/1/").status == 200
    site.stop()
    assert watchdog.reports() == []


@pytest.mark.parametrize("timer", [0, 0.0])
def test_timer_of_0_reports_each_request(watchdog: Scratch, timer: float) -> None:
    """A timer of 0 reports each request at once."""
    site = watchdog(DOGSLOW_TIMER=timer)
    answer = slow(site)
    watchdog.wait_report("/gate/slow/", ", in gated")
    release(site, answer)
    site.get("/ok/")
    watchdog.wait_report("/ok/")


def test_timer_may_be_a_fraction() -> None:
    """A timer of 0.6 is not rounded to 0 or 1; all tests here use fractions."""
    assert apply(load({}), {}, {"DOGSLOW_TIMER": 0.6}.get).slow_after == 0.6


@pytest.mark.parametrize("off", [False, 0])
def test_dogslow_false_leaves_the_middleware_out(watchdog: Scratch, off: object) -> None:
    """DOGSLOW = False: no report, no thread, no file."""
    site = watchdog(DOGSLOW=off, DOGSLOW_TIMER=0.1)
    assert "slowhound" not in site.get("/threads/").text
    site.get("/sleep/0.5/")
    site.stop()
    assert list(watchdog.temporary.iterdir()) == []


def test_output_names_the_folder(watchdog: Scratch, tmp_path: Path) -> None:
    """DOGSLOW_OUTPUT is the folder of the files, and is used as it is."""
    folder = tmp_path / "output"
    folder.mkdir(mode=0o755)
    site = watchdog(DOGSLOW_TIMER=TIMER, DOGSLOW_OUTPUT=str(folder))
    answer = slow(site)
    watchdog.wait_report("/gate/slow/", folder=folder)
    release(site, answer)
    assert folder.stat().st_mode & 0o777 == 0o755
    assert watchdog.reports() == []


def test_without_files(watchdog: Scratch, mailbox: Mailbox) -> None:
    """DOGSLOW_LOG_TO_FILE = False writes no file, and still mails."""
    site = watchdog(DOGSLOW_LOG_TO_FILE=False, **mail_settings(mailbox.port))
    answer = slow(site)
    eventually(lambda: mailbox.mails, "a mail", transcript=site.process.transcript)
    release(site, answer)
    site.stop()
    assert watchdog.reports() == []
    assert list(watchdog.temporary.rglob("*.log")) == []


def mail_settings(port: int, to: object = "errors@shop.example") -> dict[str, Any]:
    return {
        "DOGSLOW_TIMER": TIMER,
        "DOGSLOW_EMAIL_TO": to,
        "DOGSLOW_EMAIL_FROM": "no-reply@shop.example",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": port,
        "EMAIL_TIMEOUT": 5,
    }


@pytest.mark.parametrize(
    "to",
    ["errors@shop.example", ["errors@shop.example", "ops@shop.example"], ("errors@shop.example",)],
    ids=["a string", "a list", "a tuple"],
)
def test_mail(watchdog: Scratch, mailbox: Mailbox, to: Any) -> None:
    """DOGSLOW_EMAIL_TO and _FROM together mail the report by SMTP."""
    site = watchdog(**mail_settings(mailbox.port, to))
    answer = slow(site, "/gate/slow/?page=2")
    eventually(lambda: mailbox.mails, "a mail", transcript=site.process.transcript)
    release(site, answer)
    mail = mailbox.mails[0]
    assert mail.sender == "no-reply@shop.example"
    assert mail.to == ([to] if isinstance(to, str) else list(to))
    line = f"GET http://{site.address.authority}/gate/slow/?page=2"
    assert mail.message["Subject"] == f"Slow Request Watchdog: {line}"
    assert mail.message["From"] == "no-reply@shop.example"
    text = mail.message.get_content()
    assert text.startswith("Undead request intercepted at: ")
    assert f"\n{line}\n" in text.replace("\r\n", "\n")
    assert ", in gated" in text
    assert len(mailbox.mails) == 1


@pytest.mark.parametrize("missing", ["DOGSLOW_EMAIL_TO", "DOGSLOW_EMAIL_FROM"])
def test_mail_needs_both(watchdog: Scratch, mailbox: Mailbox, missing: str) -> None:
    """With only one of the two settings nothing is mailed, and the file is written."""
    given = mail_settings(mailbox.port)
    del given[missing]
    site = watchdog(**given)
    answer = slow(site)
    watchdog.wait_report("/gate/slow/")
    release(site, answer)
    site.stop()
    assert mailbox.mails == []


def test_unreachable_mail_server(watchdog: Scratch) -> None:
    """An unreachable mail server delays no request and costs no file."""
    with socket.socket() as deaf:
        # Without listen() it refuses, and no other process gets the port.
        deaf.bind(("127.0.0.1", 0))
        site = watchdog(**mail_settings(deaf.getsockname()[1]))
        answer = slow(site)
        watchdog.wait_report("/gate/slow/")
        release(site, answer)
        assert site.get("/ok/").status == 200
        eventually(lambda: "Email" in site.process.stderr, "a warning")
        site.stop()


def test_silent_mail_server(watchdog: Scratch) -> None:
    """A mail server that accepts and never answers delays no request, either."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        site = watchdog(**mail_settings(silent.getsockname()[1]))
        answer = slow(site)
        silent.settimeout(15)
        client, _ = silent.accept()
        release(site, answer)
        second = site.start("/gate/second/")
        watchdog.wait_report("/gate/second/")
        site.gate("second").open()
        assert second.result().status == 200
        client.close()


@pytest.mark.parametrize(
    ("level", "name"),
    [(None, "WARNING"), ("ERROR", "ERROR"), (20, "INFO"), ("DEBUG", "DEBUG")],
)
def test_logger(watchdog: Scratch, level: object, name: str) -> None:
    """DOGSLOW_LOGGER gets the report, at a level that is a name or a number."""
    given = {} if level is None else {"DOGSLOW_LOG_LEVEL": level}
    site = watchdog(
        DOGSLOW_TIMER=TIMER, DOGSLOW_LOGGER="dogslow", LOGGING=watchdog.logging(), **given
    )
    answer = slow(site)
    kept = watchdog.wait_kept()
    release(site, answer)
    assert (kept["name"], kept["level"]) == ("dogslow", name)
    url = f"GET http://{site.address.authority}/gate/slow/"
    assert kept["message"].startswith(f"Slow Request Watchdog: gate, {url} - Undead request")
    assert ", in gated" in kept["message"]
    watchdog.wait_report("/gate/slow/")


def test_log_to_sentry(watchdog: Scratch) -> None:
    """With DOGSLOW_LOG_TO_SENTRY the message groups, and culprit and stack are in `extra`."""
    site = watchdog(
        DOGSLOW_TIMER=TIMER,
        DOGSLOW_LOGGER="dogslow",
        DOGSLOW_LOG_TO_SENTRY=True,
        LOGGING=watchdog.logging(),
    )
    answer = slow(site)
    kept = watchdog.wait_kept()
    release(site, answer)
    assert kept["message"] == "Slow Request Watchdog: /gate/slow/"
    assert kept["culprit"] == "tests.site.gates in wait_at"
    frames = [str(frame) for frame in kept["stack"]]
    assert "gates.py" in frames[-1]  # the outermost frame comes first
    assert "waiting.py" in frames[-2]


def test_ignored_urls(watchdog: Scratch) -> None:
    """DOGSLOW_IGNORE_URLS are names of URL patterns."""
    site = watchdog(DOGSLOW_TIMER=TIMER, DOGSLOW_IGNORE_URLS=("sleep", "other"))
    site.get("/sleep/0.7/")
    answer = slow(site)
    watchdog.wait_report("/gate/slow/")
    release(site, answer)
    site.stop()
    assert len(watchdog.reports()) == 1


def test_stack_vars(watchdog: Scratch) -> None:
    """DOGSLOW_STACK_VARS adds local variables, secrets masked; without it there are none."""
    site = watchdog(DOGSLOW_TIMER=TIMER, DOGSLOW_STACK_VARS=True)
    answer = slow(site, "/secrets/slow/")
    text = watchdog.wait_report("Full backtrace with local variables").text
    release(site, answer)
    assert "visible-slow" in text
    assert "hunter2-slow" not in text


def test_no_stack_vars(watchdog: Scratch) -> None:
    """Variables are off by default."""
    site = watchdog(DOGSLOW_TIMER=TIMER)
    answer = slow(site, "/secrets/slow/")
    text = watchdog.wait_report("/secrets/slow/").text
    release(site, answer)
    assert "visible-slow" not in text


def test_flames_dir_is_accepted(watchdog: Scratch, tmp_path: Path) -> None:
    """FLAMES_DIR is accepted, and does not affect the rest."""
    site = watchdog(DOGSLOW_TIMER=TIMER, FLAMES_DIR=str(tmp_path / "flames"))
    answer = slow(site)
    watchdog.wait_report("/gate/slow/")
    release(site, answer)


def test_bad_values_are_ignored(watchdog: Scratch) -> None:
    """An invalid setting does not stop the site, and the others still apply."""
    site = watchdog(
        DOGSLOW_TIMER=TIMER, DOGSLOW_LOG_LEVEL="NO SUCH", DOGSLOW_IGNORE_URLS=7, DOGSLOW_OUTPUT=5
    )
    answer = slow(site)
    watchdog.wait_report("/gate/slow/")
    release(site, answer)


def test_slowhound_wins_over_dogslow(watchdog: Scratch) -> None:
    """If both are set, SLOWHOUND's setting wins."""
    site = watchdog(DOGSLOW_TIMER=60, SLOWHOUND={"SLOW_AFTER": TIMER})
    answer = slow(site)
    watchdog.wait_report("/gate/slow/")
    release(site, answer)
