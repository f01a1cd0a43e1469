"""Which thread holds the GIL of an unresponsive process, seen from another process."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from slowhound.frames.frames import Frame
from slowhound.gil.reading import Reading, stable
from slowhound.gil.unresponsive import examine, silent_for
from tests.harness.stopped import stopped
from tests.harness.unresponsive import BURN, STUCK, process
from tests.harness.waiting import eventually

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc of Linux tells"),
    pytest.mark.slow,
]

STACK = (Frame("/srv/shop/views.py", 3, "orders"),)
# On a loaded machine one may miss what is to be seen.
CHECKS = 10


def test_thread_that_sleeps_with_the_gil_is_suspected(tmp_path: Path) -> None:
    """It slept all the time while the hound waited for the GIL; it does not notice."""
    with process(tmp_path, STUCK) as case:
        found = case.examined(checks=CHECKS)
        assert found is not None
        assert (found.suspects, found.ran, found.stacks) == ((case.process.pid,), False, {})
        assert "most likely by this thread, which slept" in found.text(case.process.pid)
        assert case.end() == 0


def test_thread_that_burns_cpu_with_the_gil_is_suspected(tmp_path: Path) -> None:
    """It never slept while the hound waited for the GIL."""
    with process(tmp_path, BURN) as case:
        found = case.examined(checks=CHECKS)
        assert found is not None
        assert (found.suspects, found.ran) == ((case.process.pid,), True)
        assert "most likely by this thread, which ran" in found.text(case.process.pid)


def test_thread_that_carries_no_request_is_named(tmp_path: Path) -> None:
    """The request's own thread, which waits, is not suspected then."""
    script = """
carry(os.getpid())
say_ready()
threading.Thread(target=burn, daemon=True).start()
time.sleep(60)
"""
    with process(tmp_path, script) as case:
        found = case.examined(checks=CHECKS)
        assert found is not None
        assert found.suspects == ()
        tasks = {int(each.name) for each in Path(f"/proc/{case.process.pid}/task").iterdir()}
        assert found.elsewhere in tasks - {case.process.pid, case.state.hound}
        assert f"most likely by thread {found.elsewhere}" in found.text(case.process.pid)


def test_holder_that_gets_little_of_a_cpu_is_suspected_and_no_sleeper(tmp_path: Path) -> None:
    """On a busy machine: one that sleeps without the GIL is not accused."""
    script = """
def hold():
    os.sched_setaffinity(0, {cpu})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # 0.3 % of a CPU that another wants
    burn()

cpu = min(os.sched_getaffinity(0))
if os.fork() == 0:
    os.sched_setaffinity(0, {cpu})
    parent = os.getppid()
    while os.getppid() == parent:
        pass
    os._exit(0)
carry(os.getpid())
say_ready()
threading.Thread(target=hold, daemon=True).start()
time.sleep(60)
"""
    with process(tmp_path, script) as case:
        found = case.examined(checks=CHECKS)
        assert found is not None
        assert (found.suspects, found.ran) == ((), True)
        assert found.elsewhere not in (None, case.process.pid)


def test_running_bytecode_is_no_held_gil(tmp_path: Path) -> None:
    """The hound runs every 5 ms, unless the bytecode gets no CPU to hand it over on."""
    with process(tmp_path, "carry(os.getpid())\nsay_ready()\nwhile True: pass\n") as case:
        eventually(lambda: case.examined() is None, "its hound does not wait")


def test_stopped_process_does_not_wait_for_the_gil(tmp_path: Path) -> None:
    """None of its threads runs, the hound included."""
    with process(tmp_path, STUCK) as case:
        with stopped([case.process.pid]):
            assert case.examined() is None
        assert case.end() == 0


def test_process_of_another_container_is_left_alone(tmp_path: Path) -> None:
    """Its pid means another process here."""
    with process(tmp_path, STUCK, pids="1") as case:
        assert case.examined() is None
        assert case.end() == 0


def test_process_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """And nothing is raised."""
    with process(tmp_path, STUCK) as case:
        state = case.wait_unresponsive()
        case.end()
        assert examine(case.path, state, ()) is None


def test_first_reader_that_can_gives_the_stacks(tmp_path: Path) -> None:
    """The ways are tried in their order; one that knows the holder counts."""
    asked = []

    def cannot(pid: int, python: str) -> None:
        asked.append((pid, python))

    with process(tmp_path, STUCK) as case:
        pid = case.process.pid
        found = case.examined(
            cannot, lambda *_: Reading({pid: STACK}, "py-spy", pid), checks=CHECKS
        )
        assert found is not None
        assert asked[0][0] == pid
        assert (found.suspects, found.known) == ((pid,), True)
        assert (found.stacks[pid].stack, found.stacks[pid].by) == (STACK, "py-spy")
        assert found.text(pid).endswith("by this thread.")


def test_process_that_has_gone_on_meanwhile_holds_nothing(tmp_path: Path) -> None:
    """The stack may be another request's by now, and it can report by itself."""
    with process(tmp_path, STUCK) as case:
        state = case.wait_unresponsive()

        def reader(pid: int, _python: str) -> Reading:
            with open(case.path, "r+b") as box:
                box.seek(4 * 8)
                box.write((state.heartbeat + 1).to_bytes(8, "little"))
            return Reading({pid: STACK}, "py-spy")

        assert examine(case.path, state, [reader]) is None
        case.end()


def test_heartbeat_from_the_future_is_not_silent(tmp_path: Path) -> None:
    """One of another boot means nothing."""
    with process(tmp_path, STUCK) as case:
        assert silent_for(case.state._replace(heartbeat=2**62)) == 0
        case.end()


def test_two_readings_agree_on_the_outer_frames() -> None:
    """What has changed between the two is left out, and a thread that is in one of them only."""
    outer, inner, other = (Frame("a.py", line, "f") for line in (1, 2, 3))
    first = {7: (outer, inner), 8: (outer,), 9: (inner,)}
    second = {7: (outer, other), 9: (other,)}
    assert stable(first, second) == {7: (outer,)}
