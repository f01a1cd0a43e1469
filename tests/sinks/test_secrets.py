"""Every kind of secret in every place of one busy site, and every byte that leaves it.

One Gunicorn worker has a request for each kind in flight at once; each has the secret in its path,
query string, headers, variables, SQL, exceptions and so on, with a harmless word beside it. What
shows the word has had the secret as well.
"""

from __future__ import annotations

import contextlib
import gzip
import html
import os
import re
import signal
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

from tests.harness.cli import environment, slowhound
from tests.harness.client import Response
from tests.harness.echo import echo_server
from tests.harness.hook import Hook, hook_server
from tests.harness.launch import Launcher
from tests.harness.otlp import Received, http_receiver
from tests.harness.process import Process
from tests.harness.sentry_server import Project, sentry_server
from tests.harness.site import Site
from tests.harness.smtp import Mailbox, smtp_server
from tests.harness.waiting import eventually
from tests.site.planted import BY_NAME, KINDS, MASK, NEEDLES, core, mark

pytestmark = [pytest.mark.server, pytest.mark.slow]
PAGES_OF_A_KIND = 1
NUMBERS = range(len(KINDS))
KILLED = NUMBERS[::4]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"kept": {"class": "logging.FileHandler", "filename": "kept.log"}},
    "loggers": {"kept": {"handlers": ["kept"], "propagate": False}},
}


class Outputs(dict[str, bytes]):
    """All that has left, by where it was found."""

    def add(self, name: str, data: bytes | str) -> None:
        self[name] = self.get(name, b"") + (data.encode() if isinstance(data, str) else data)

    def add_folder(self, name: str, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                kind = path.relative_to(folder).parts[0]
                try:
                    data = path.read_bytes()
                except FileNotFoundError:
                    continue  # sent, or replaced, meanwhile
                if path.suffix == ".gz":
                    data = gzip.decompress(data)
                elif path.suffix == ".parquet":
                    data = repr(duckdb.read_parquet(str(path)).fetchall()).encode()
                self.add(f"{name}/{kind}", b"\n" + path.name.encode() + b"\n" + data)

    def leaks(self) -> list[str]:
        """Where a secret can be seen, and what is around it."""
        found = []
        for name, data in self.items():
            for needle in NEEDLES:
                at = data.find(needle.encode())
                if at >= 0:
                    found.append(f"{name}: {needle}: {data[max(at - 80, 0) : at + 60]!r}")
        return found


class Run:
    """What the one busy site left behind."""

    def __init__(self) -> None:
        self.outputs = Outputs()
        self.modes: dict[str, tuple[int, bool]] = {}


def headers(number: int, gate: str) -> dict[str, str]:
    secret = KINDS[number].text
    return {
        "User-Agent": f"{mark('agent', number)} {secret}",
        "Referer": f"https://shop.example/{mark('referrer', number)}?token={BY_NAME}"
        f"&x={urllib.parse.quote(secret)}#access_token={BY_NAME}",
        "Authorization": f"Bearer {BY_NAME}",
        "Cookie": f"sessionid={BY_NAME}",
        "X-Gate": gate,
        "X-Request-Start": secret,
    }


def path(number: int) -> str:
    quoted = urllib.parse.quote(f"{mark('path', number)} {KINDS[number].text}", safe="")
    query = urllib.parse.urlencode(
        {
            "page": mark("query", number),
            "q": KINDS[number].text,
            "next": f"/login?token={BY_NAME}",
            "password": BY_NAME,
        }
    )
    return f"/leak/{number}/{BY_NAME}/{quoted}/?{query}&{'d41d8cd98f00' + core(number)}"


def start_all(site: Site, gate: str, numbers: Iterable[int]) -> list[Future[Response]]:
    """A request for each of these kinds, all of them in flight."""
    answers = [site.start(path(number), headers=headers(number, gate)) for number in numbers]
    site.gate(gate).wait_entered(len(answers))
    return answers


def fetch(url: str) -> bytes:
    """A page, also one without content."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read()
    except urllib.error.HTTPError as none:
        with none:
            return none.read()


def crawl(run: Run, site: Site) -> None:
    """The viewer's pages, as far as links lead."""
    home = site.scratch / "viewer"
    home.mkdir()
    command = [sys.executable, "-m", "slowhound", "view", "--dir", str(site.dir)]
    process = Process([*command, "--bind", "127.0.0.1:0"], home, environment())
    try:
        base = eventually(
            lambda: re.search(r"http://127\.0\.0\.1:\d+", process.stdout + process.stderr),
            "the viewer listens",
            transcript=process.transcript,
        )[0]
        ahead, seen = ["/"], {"/"}
        while ahead:
            page = fetch(base + ahead.pop(0))
            run.outputs.add("pages", page)
            links = {html.unescape(each) for each in re.findall(r'href="(/[^"#]*)"', page.decode())}
            new = sorted(each for each in links - seen if "/static/" not in each)
            # Pages of requests, and of reports, are all alike: some of each kind.
            for link in new:
                kind = link.partition("?")[0]
                if sum(each.startswith(kind) for each in seen) < PAGES_OF_A_KIND:
                    seen.add(link)
                    ahead.append(link)
    finally:
        process.cleanup()


def collect(run: Run, site: Site, name: str, commands: tuple[tuple[str, ...], ...]) -> None:
    """Files as they are now, and what commands print of them."""
    run.outputs.add_folder(f"{name} files", site.dir)
    for each in [site.dir, *site.dir.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):
            run.modes[str(each)] = (stat.S_IMODE(each.lstat().st_mode), each.is_dir())
    for command, *arguments in commands:
        done = slowhound(command, site.dir, *arguments, COLUMNS="400")
        assert "Traceback" not in done.stderr, done.stderr
        run.outputs.add(f"{name} {command}", done.stdout + done.stderr)


@dataclass
class Channels:
    """The other ends of the sinks."""

    mailbox: Mailbox
    otlp: Received
    hook: Hook
    sentry: Project

    def sinks(self) -> list[dict[str, object]]:
        return [
            {"sink": "slowhound.sinks.email.Email", "to": "ops@example.com"},
            {"sink": "slowhound.sinks.logger.PythonLogger", "name": "kept"},
            {"sink": "slowhound.sinks.webhook.Webhook", "url": self.hook.url, "private": True},
            {"sink": "slowhound.sinks.otel.OpenTelemetry", "endpoint": self.otlp.endpoint},
            {"sink": "slowhound.sinks.sentry.Sentry", "dsn": self.sentry.dsn},
        ]

    def wait(self, reports: int) -> None:
        for name, got in (
            ("webhook", self.hook.posted),
            ("mails", self.mailbox.mails),
            ("Sentry", self.sentry.raw),
        ):
            eventually(lambda got=got: len(got) >= reports, f"the reports: {name}", deadline=60)

    def add_to(self, outputs: Outputs) -> None:
        for mail in self.mailbox.mails:
            outputs.add("mails", str(mail.message["Subject"]))
            for part in mail.message.walk():
                if not part.is_multipart():
                    outputs.add("mails", part.get_content())
        outputs.add("sentry", b"\n".join(self.sentry.raw))
        outputs.add("webhook", b"\n".join(self.hook.bodies))
        outputs.add("otlp", b"\n".join(self.otlp.raw))


def busy(run: Run, site: Site, otlp: Received) -> None:
    """A request of each kind at once, sampled while they run, and ended by an exception."""
    answers = start_all(site, "first", NUMBERS)
    body = urllib.parse.urlencode({"pet": BY_NAME, "password2": BY_NAME, "seen": "mark_posted_end"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for number, view in enumerate(("posted", "posted-all")):
        given = {**headers(number, ""), **form}
        site._threads.submit(site.request, "POST", f"/{view}/{view}/", given, body)
        site.gate(view).wait_entered()
    # Only now, so that each report shows the stack and the variables at the gate; and by view, so
    # that none is of a URL which is not resolved yet.
    for view in ("leak", "posted", "posted-all"):
        watched = ("--view", view, "--slow-after", "0.1", "--for", "10m")
        done = slowhound("watch", site.dir, *watched)
        assert done.returncode == 0, done.stderr
    eventually(
        lambda: len(site.reports()) >= len(KINDS) + 2,
        "a report of each request",
        transcript=site.process.transcript,
    )
    collect(run, site, "running", (("ps", "--json"), ("ps",), ("dump",)))
    site.gate("first").open()
    for answer in answers:
        answer.result()
    eventually(lambda: len(otlp.named("slowhound.request")) >= len(KINDS), "the ends, by OTLP")
    assert slowhound("watch", site.dir, "--off").returncode == 0


def kill(site: Site) -> None:
    """The worker dies with some requests in flight; another one takes over."""
    start_all(site, "second", KILLED)
    (worker,) = site.worker_pids()
    os.kill(worker, signal.SIGKILL)
    eventually(
        lambda: sum(each["event_type"] == "crash" for each in site.events()) >= len(KILLED),
        "an event of each request that died",
        transcript=site.process.transcript,
    )


@pytest.fixture(scope="module")
def run(serve_module: Launcher) -> Run:
    """The busy site, until its worker is killed and it has ended."""
    run = Run()
    with (
        smtp_server() as mailbox,
        http_receiver() as otlp,
        hook_server() as hook,
        sentry_server() as sentry,
        echo_server() as echo,
    ):
        ends = Channels(mailbox, otlp, hook, sentry)
        site = serve_module(
            worker="gthread",
            threads=len(KINDS) + 8,
            env={"ECHO": echo},
            settings={
                "SLOW_AFTER": 60,
                "LOCALS": True,
                "MASK": MASK,
                "REPORT_LIMIT": None,
                "SINKS": ends.sinks(),
                "FLAMES": {"ALLOW": "tests.site.views.secrets.anyone", "EVERY": 0},
            },
            django={"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": mailbox.port, "LOGGING": LOGGING},
        )
        busy(run, site, otlp)
        kill(site)
        site.get(f"{path(0)}&flames=1", headers(0, "first"))
        eventually(lambda: list(site.dir.glob("flames/*")), "a flame graph")
        ends.wait(len(KINDS) + 2 + len(KILLED))
        collect(run, site, "ended", (("tail", "-n", "1000"), ("ask", "sql")))
        crawl(run, site)
        site.stop()
        run.outputs.add_folder("last files", site.dir)
        run.outputs.add("lines", site.process.stdout)
        run.outputs.add("errors", site.process.stderr)
        run.outputs.add("log", (site.scratch / "kept.log").read_bytes())
        ends.add_to(run.outputs)
    return run


# Where the harmless word must be seen: a secret that never got there cannot leak.
PLACES = {
    "path": (
        "lines",
        "ended tail",
        "sentry",
        "otlp",
        "running files/boxes",
        "running files/reports",
        "running ps",
    ),
    "query": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "referrer": ("lines", "ended files/events", "running files/boxes"),
    "agent": ("lines", "otlp", "running files/boxes"),
    "sql": (
        "running files/boxes",
        "running files/reports",
        "mails",
        "webhook",
        "ended files/events",
    ),
    "text": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "octets": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "items": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "nested": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "holder": ("running files/reports", "mails", "webhook", "log", "sentry"),
    "field": ("lines", "ended files/events", "otlp"),
    "nestedfield": ("lines", "ended files/events", "otlp"),
    "task": ("lines", "ended files/events", "otlp"),
    "taskfield": ("lines", "ended files/events", "otlp"),
    "taskerror": ("lines", "ended files/events", "otlp"),
    "partial": ("lines", "ended files/events", "otlp"),
    "error": ("lines", "ended files/events", "otlp"),
}


def test_there_are_sixty_kinds_in_twelve_places() -> None:
    """As many as promised."""
    assert len(KINDS) >= 60
    assert len(PLACES) >= 12


@pytest.mark.parametrize("place", PLACES)
def test_secrets_have_been_there(run: Run, place: str) -> None:
    """The harmless word beside each secret is seen wherever that place is shown."""
    for output in PLACES[place]:
        missing = [
            number for number in NUMBERS if mark(place, number).encode() not in run.outputs[output]
        ]
        assert missing == [], (output, missing, run.outputs[output][-3000:])


@pytest.mark.parametrize("word", ["keys", "pairs", "form", "posted", "declared"])
def test_words_beside_masked_variables_are_shown(run: Run, word: str) -> None:
    """What is not secret in a dict, a list of pairs and a form is in the report."""
    assert f"mark_{word}_end".encode() in run.outputs["running files/reports"]


def test_pages_and_graphs_are_among_what_was_searched(run: Run) -> None:
    """The viewer has shown requests, and a flame graph was drawn."""
    assert b"mark_path" in run.outputs["pages"]
    assert b"_hold" in run.outputs["ended files/flames"]


def test_no_secret_leaves(run: Run) -> None:
    """No kind of secret is in any byte that has left, whatever the place it was in."""
    leaks = run.outputs.leaks()
    assert not leaks, f"{len(leaks)} leaks\n" + "\n".join(leaks[:40])


def test_files_are_the_owners_alone(run: Run) -> None:
    """Everything under DIR has mode 0600, and each folder 0700."""
    assert len(run.modes) > len(KINDS)
    assert {mode for mode, is_folder in run.modes.values() if is_folder} == {0o700}
    assert {mode for mode, is_folder in run.modes.values() if not is_folder} == {0o600}


def test_names_of_files_are_not_of_the_request(run: Run) -> None:
    """No word of a request's is in the name of a file."""
    names = "\n".join(Path(each).name for each in run.modes)
    assert not re.search(r"mark|hunter2|leak|posted", names)
