"""`slowhound sidecar` does for a server with one process what peers do for each other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cli import worker
from tests.harness.recorded import READ_BY
from tests.harness.waiting import eventually

# While other tests run, py-spy may need longer than its two seconds.
PATIENT = """
import sys
from slowhound.cli import main
from slowhound.gil import py_spy
py_spy.READ_TIME_LIMIT = 15.0
sys.exit(main(["sidecar", "--dir", sys.argv[1]]))
"""


@contextmanager
def sidecar(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A running sidecar, after its first message."""
    argv = [sys.executable, "-c", PATIENT, str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "watches the workers" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def events(folder: Path) -> list[dict[str, Any]]:
    """All events in the segments, without a last line that is not finished."""
    texts = [path.read_text() for path in folder.glob("events/*.jsonl")]
    return [json.loads(line) for text in texts for line in text.split("\n")[:-1]]


def test_only_worker_is_reported_while_it_holds_its_gil(tmp_path: Path) -> None:
    """Once, in a report and a slow event, with the line."""
    folder = tmp_path / "d"
    held = worker(folder, path="/held/", then="hold the GIL", SLOW_AFTER=1.0)
    with held as pid, sidecar(folder) as process:
        written = "reports/slow_request_*.log"
        eventually(lambda: list(folder.glob(written)), "a report", deadline=30)
        (event,) = eventually(
            lambda: [each for each in events(folder) if each["event_type"] == "slow"], "its event"
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
    assert (event["pid"], event["req_path"]) == (pid, "/held/")
    assert event["slow_stack_by"] == READ_BY
    assert event["gil_hold_est"] >= 1.0
    assert event["slow_loc"].endswith(":hold_the_gil")
    (report,) = folder.glob("reports/slow_request_*.log")
    assert report.name == event["report"]
    assert ", in hold_the_gil" in report.read_text()


def test_event_of_a_dead_only_worker_is_written(tmp_path: Path) -> None:
    """Without the cause, which only its parent knows."""
    folder = tmp_path / "d"
    with worker(folder, path="/killed/"):
        pass
    with sidecar(folder):
        (event,) = eventually(lambda: events(folder), "the event of the worker")
    assert (event["event_type"], event["req_path"]) == ("crash", "/killed/")
    assert event["crash_cause"] == "unknown"


@pytest.mark.parametrize("command", ["sidecar", "neighbour"])
def test_missing_folder_is_refused(command: str, tmp_path: Path) -> None:
    """Also by the command's former name."""
    argv = [sys.executable, "-m", "slowhound", command, "--dir", str(tmp_path / "none")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "No slowhound data here" in done.stderr
