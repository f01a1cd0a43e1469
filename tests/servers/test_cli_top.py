"""`slowhound top` in a real terminal."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from slowhound.cli import main
from tests.harness.cli import HEIGHT, WIDTH, Terminal, ps, slowhound, terminal, worker
from tests.harness.launch import Launcher
from tests.harness.site import Site
from tests.harness.stopped import stopped
from tests.harness.waiting import eventually


@pytest.fixture
def site(two_workers: Site) -> Site:
    return two_workers


def top(term: Terminal, directory: Path, *arguments: str) -> None:
    """Start it, and wait for its first screen."""
    fast = arguments or ("--interval", "0.2")
    term.run(sys.executable, "-m", "slowhound", "top", "--dir", str(directory), *fast)
    term.wait("q: quit")


def pid_of_top(term: Terminal) -> int:
    """The process that was started in this terminal."""
    shell = term.tmux("display", "-p", "#{pane_pid}").strip()
    children = Path(f"/proc/{shell}/task/{shell}/children").read_text().split()
    return int(children[0])


def check_restored(term: Terminal, code: int) -> None:
    """The shell's screen is back, with its cursor, its echo and its line editing."""
    term.wait(f"exit={code}")
    assert term.state() == "0 1"
    term.run("stty", "-a")
    shown = term.wait("exit=0", "icanon")
    assert "-icanon" not in shown
    assert "-echo " not in shown


def test_requests_come_and_go(site: Site) -> None:
    """A row while a request runs, and the busy workers above it."""
    gate = site.gate("seen")
    assert site.get("/ok/").status == 200
    with terminal() as term:
        top(term, site.dir)
        term.wait("workers 2   busy 0", "nothing is in flight")
        answer = site.start("/gate/seen/")
        shown = term.wait("GET /gate/seen/", "busy 1", "tests/site/gates.py")
        row = next(line for line in shown.split("\n") if "/gate/seen/" in line)
        assert row.split()[0] in map(str, site.worker_pids())
        gate.open()
        answer.result()
        term.wait("workers 2   busy 0", "nothing is in flight")
        term.type("q")
        check_restored(term, 0)


def test_requests_per_second_are_shown(site: Site) -> None:
    """Of the requests that ended between two refreshes."""
    assert site.get("/ok/").status == 200
    with terminal() as term:
        top(term, site.dir)
        term.wait("requests/s 0.0")

        def busy() -> bool:
            site.get("/ok/")
            return "requests/s 0.0" not in term.screen()

        eventually(busy, "a rate")
        term.type("q")
        term.wait("exit=0")


@pytest.mark.parametrize("key", ["C-c", "Q"])
def test_keys_that_quit_restore_the_terminal(tmp_path: Path, key: str) -> None:
    """Also where no worker runs."""
    tmp_path.chmod(0o700)
    with terminal() as term:
        top(term, tmp_path, "--interval", "60")
        term.wait("no worker runs here")
        assert term.state() == "1 0"
        term.type(key)
        check_restored(term, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_it_restore_the_terminal(tmp_path: Path, number: int) -> None:
    """As from a service manager, or from a terminal that closes."""
    tmp_path.chmod(0o700)
    with terminal() as term:
        top(term, tmp_path, "--interval", "60")
        os.kill(pid_of_top(term), number)
        check_restored(term, 128 + number)


def test_terminal_that_goes_away_ends_it(tmp_path: Path) -> None:
    """No process is left that goes on reading."""
    tmp_path.chmod(0o700)
    with terminal() as term:
        top(term, tmp_path)
        pid = pid_of_top(term)
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "it has ended")


def test_stopped_worker_is_marked(serve: Launcher) -> None:
    """In the header and in its row."""
    site = serve()
    gate = site.gate("stopped")
    answer = site.start("/gate/stopped/")
    gate.wait_entered()
    (pid,) = site.worker_pids()
    with terminal() as term:
        top(term, site.dir)
        with stopped([pid]):
            term.wait(f"no sign of life (GIL held or stopped): {pid}", f"{pid}!")
        gate.open()
        answer.result()
        term.type("q")
        term.wait("exit=0")


def test_request_cannot_move_the_cursor_or_add_markup(tmp_path: Path) -> None:
    """It stays one row of the table, as wide as the screen, whatever its path contains."""
    path = "/[red]\x1b[2J\x1b[9;9H\r\n\x9b1m[/red][link=x]" + "\u6f22" * 200
    with worker(tmp_path / "d", path=path, view="[bold]v\x1b[1m"), terminal() as term:
        top(term, tmp_path / "d")
        shown = term.wait(r"GET /[red]\x1b[2J", "workers 1   busy 1").rstrip("\n").split("\n")
        assert shown[0].startswith("workers 1   busy 1")
        assert len([line for line in shown if line.strip(" ─")]) == 4  # header, names, row, help
        term.type("q")
        check_restored(term, 0)


def test_more_requests_than_rows_are_counted(serve: Launcher) -> None:
    """The oldest are shown, and the help stays on the screen."""
    site = serve(worker="gthread", threads=40)
    wires = [site.open("/gate/many/") for _ in range(35)]
    site.gate("many").wait_entered(35)
    assert len(ps(site.dir)) == 35
    with terminal() as term:
        top(term, site.dir)
        shown = term.wait("workers 1   busy 1", "more", "q: quit")
        rows = shown.count("GET /gate/many/")
        assert HEIGHT // 2 < rows < HEIGHT
        assert f"\n{35 - rows} more" in shown
        assert all(len(line) <= WIDTH for line in shown.split("\n"))
        term.type("q")
        term.wait("exit=0")
    site.gate("many").open()
    site.read_all(wires)


def test_without_a_terminal_it_is_refused(tmp_path: Path) -> None:
    """Exit code 2, and nothing on stdout."""
    done = slowhound("top", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "top needs a terminal" in done.stderr


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "soon"])
def test_interval_must_be_a_time(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Also in a terminal."""
    with pytest.raises(SystemExit) as ended:
        main(["top", "--interval", given])
    assert ended.value.code == 2
    assert "--interval" in capsys.readouterr().err
