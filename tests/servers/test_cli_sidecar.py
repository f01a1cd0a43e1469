"""`slowhound neighbour` does for a server of one process what siblings do for each other."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.harness.cli import worker
from tests.harness.recorded import READ_BY
from tests.harness.waiting import eventually

# With many other tests beside it py-spy may need longer than its two seconds.
PATIENT = """
import sys
from slowhound.cli import main
from slowhound.gil import py_spy
py_spy.TIME_LIMIT = 15.0
sys.exit(main(["neighbour", "--dir", sys.argv[1]]))
"""


@contextmanager
def neighbour(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A running one; it has made itself known."""
    argv = [sys.executable, "-c", PATIENT, str(folder)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert "watches the workers" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def events(folder: Path) -> list[dict[str, Any]]:
    """All events in the segments; of the last line, half may be there."""
    texts = [path.read_text() for path in folder.glob("events/*.jsonl")]
    return [json.loads(line) for text in texts for line in text.split("\n")[:-1]]


def test_worker_that_is_alone_and_holds_the_gil_is_reported_while_it_does(tmp_path: Path) -> None:
    """With the line, in a report and a slow event, once."""
    folder = tmp_path / "d"
    held = worker(folder, path="/held/", then="hold the GIL", SLOW_AFTER=1.0)
    with held as pid, neighbour(folder) as process:
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


def test_worker_that_died_alone_has_its_event(tmp_path: Path) -> None:
    """Nobody else is there to write it; the cause only its parent could tell."""
    folder = tmp_path / "d"
    with worker(folder, path="/killed/"):
        pass
    with neighbour(folder):
        (event,) = eventually(lambda: events(folder), "the event of the dead")
    assert (event["event_type"], event["req_path"]) == ("crash", "/killed/")
    assert event["crash_cause"] == "unknown"


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nobody has run here, or the folder is another one."""
    argv = [sys.executable, "-m", "slowhound", "neighbour", "--dir", str(tmp_path / "none")]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "No slowhound data here" in done.stderr
