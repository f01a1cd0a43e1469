"""What waits for a collector when its process ends: it is sent, or left to the next process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.harness.asgi_servers import BY_NAME, AsgiLauncher
from tests.harness.launch import ROOT
from tests.harness.otlp import http_receiver
from tests.harness.waiting import eventually

SINK = "slowhound.sinks.otel.OpenTelemetry"
SCRIPT = """
import json, multiprocessing, os, sys
from django.conf import settings
settings.configure(SLOWHOUND=json.loads(sys.argv[1]))
import django
django.setup()
import slowhound
@slowhound.task
def nightly(): pass
def work():
    nightly()
if __name__ == "__main__":
    way = sys.argv[2]
    if way == "script":
        work()
    elif way == "thread":
        import threading
        begun = threading.Event()
        @slowhound.task
        def lasting():
            begun.set()
            threading.main_thread().join()
        threading.Thread(target=lasting).start()
        begun.wait()
    elif way == "killed":
        work()
        os.kill(os.getpid(), 9)
    elif way == "next":
        work()
        sys.stdin.read()
    else:
        child = multiprocessing.get_context(way).Process(target=work)
        child.start(); child.join()
"""


def settings(folder: Path, endpoint: str) -> dict[str, Any]:
    sink = {"sink": SINK, "endpoint": endpoint, "signals": ["logs"]}
    return {"DIR": str(folder), "STREAM": None, "SINKS": [sink]}


def run(path: Path, way: str, endpoint: str) -> int:
    script = path / "script.py"
    script.write_text(SCRIPT)
    given = json.dumps(settings(path / "dir", endpoint))
    return subprocess.run(
        [sys.executable, str(script), given, way], cwd=ROOT, timeout=120, check=False
    ).returncode


@pytest.mark.parametrize("way", ["script", "thread", "fork", "spawn"])
def test_process_that_ends_at_once_sends_its_event(tmp_path: Path, way: str) -> None:
    """A script, also one whose thread goes on; a child of multiprocessing has no ``atexit``."""
    with http_receiver() as received:
        assert run(tmp_path, way, received.endpoint) == 0
        assert [log.name for log in received.logs] == ["slowhound.task"]


def test_next_process_sends_what_a_killed_one_could_not(tmp_path: Path) -> None:
    """By the ended process's segments, and the last event that its box marks as sent; each once."""
    with http_receiver() as received:
        assert run(tmp_path, "killed", received.endpoint) == -signal.SIGKILL
        assert received.logs == []
        given = json.dumps(settings(tmp_path / "dir", received.endpoint))
        argv = [sys.executable, str(tmp_path / "script.py"), given, "next"]
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE) as process:
            eventually(lambda: len(received.logs) == 2, "both events", deadline=30)
            process.kill()  # and its box marks all as sent
        assert {log.attributes["process.pid"] for log in received.logs} != {process.pid}
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE) as another:
            boxes = tmp_path / "dir" / "boxes"
            eventually(
                lambda: len(list(boxes.glob("*.box"))) == 1, "that the box is reaped", deadline=60
            )
            another.communicate(b"")
        assert len(received.logs) == 3


def test_collector_that_is_down_when_a_process_ends_gets_it_later(tmp_path: Path) -> None:
    """What could not be sent in time is left to the next process."""
    with http_receiver() as received:
        received.status = 503
        assert run(tmp_path, "script", received.endpoint) == 0
        received.status = 200
        given = json.dumps(settings(tmp_path / "dir", received.endpoint))
        argv = [sys.executable, str(tmp_path / "script.py"), given, "next"]
        with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE) as process:
            eventually(lambda: len(received.logs) == 2, "both events", deadline=60)
            process.communicate(b"")
        assert len(received.logs) == 2
    assert not list((tmp_path / "dir" / "delivery").glob("*.events"))


@pytest.mark.server
@pytest.mark.slow
@pytest.mark.parametrize("name", ["uvicorn", "uvicorn-2", "hypercorn", "granian", "daphne"])
def test_server_that_is_ended_sends_what_waits(
    tmp_path_factory: pytest.TempPathFactory, template: Path, name: str
) -> None:
    """SIGTERM: each event that is written has arrived when the server has ended."""
    launcher = AsgiLauncher(tmp_path_factory.mktemp("ends"), template)
    try:
        with http_receiver() as received:
            sink = {"sink": SINK, "endpoint": received.endpoint, "signals": ["logs"]}
            site = launcher.asgi(BY_NAME[name], settings={"SINKS": [sink]})
            # Each one's event is written: a server may end the loop right after the last byte.
            assert {site.event("/ok/")["resp_status"] for _ in range(30)} == {200}
            os.kill(site.process.pid, signal.SIGTERM)
            eventually(lambda: not site.process.running, "its end", deadline=60)
            assert len(received.named("slowhound.request")) == 30
    finally:
        launcher.cleanup()
