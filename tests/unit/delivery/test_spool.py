"""What is to be sent survives on disk, and one process at a time sends it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slowhound.config.config import Limit
from slowhound.core.observations import LastStack, Moment, Snapshot
from slowhound.core.report import Finished, Report
from slowhound.delivery import item as item_module
from slowhound.delivery import spool as spool_module
from slowhound.delivery.item import DeliveryItem, encode
from slowhound.delivery.spool import Spool, spool_new
from slowhound.frames.frames import Frame
from slowhound.system import losses
from tests.harness.launch import ROOT
from tests.harness.reports import dead_report, finished, slow_report


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(str(tmp_path / "dir"))


def read(spool: Spool, name: str) -> DeliveryItem:
    with spool.claim(name) as claimed:
        assert claimed is not None
        return claimed.item


@pytest.mark.parametrize(
    "report",
    [
        slow_report(),
        dead_report(),
        slow_report(finished=finished(), held_back=7, first_seen=True, timeline=None),
        slow_report(snapshot=None, blind=3.5),
        slow_report(snapshot=Snapshot(1.0, (), "thread", [("f", [("name", "'value'")])])),
    ],
    ids=["slow", "dead", "finished", "unsampled", "with locals"],
)
def test_item_comes_back_as_it_was(spool: Spool, report: Any) -> None:
    """Every field of a report is kept."""
    for follow_up in (False, True):
        assert read(spool, spool.put(DeliveryItem(report, follow_up))) == DeliveryItem(
            report, follow_up
        )


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def test_item_with_anything_in_it_can_be_read_back(spool: Spool) -> None:
    """What JSON cannot hold becomes text: own types, broken Unicode, huge numbers."""
    report = slow_report(
        app_odd=Odd(), app_huge=2**70, app_deep=[[[[[[[[[[1]]]]]]]]]], req_path="/\udcff\ud800/"
    )
    snapshot = Snapshot(1.0, (Frame("/\udcff.py", 1, "f"),), variables=[("f", [("\udcff", "1")])])
    deepest: list[Any] = []
    for _ in range(10_000):
        deepest = [deepest]
    report.event["app_deepest"] = deepest
    found = read(spool, spool.put(DeliveryItem(replace(report, snapshot=snapshot)))).report
    assert found.event["app_odd"] == "<Odd>"
    assert found.event["app_huge"] == str(2**70)
    assert found.event["req_path"] == "/\\udcff\\ud800/"
    assert found.snapshot is not None
    assert found.snapshot.variables == [("f", [("\\udcff", "1")])]
    assert found.text()


def any_report(frames: int, moments: int, variables: int, app: Any, text: str) -> Report:
    """Of this size; ``text`` is in each of its parts."""
    stack = tuple(Frame(f"/{text}/a.py", n, f"f{n}{text}") for n in range(frames))
    shown = [(f"f{n}{text}", [(f"n{n}{text}", text)] * 20) for n in range(variables)]
    return slow_report(
        **{f"app_{text}": app, "req_path": f"/{text}"},
        request_line=f"GET /{text}",
        snapshot=Snapshot(1.0, stack, variables=shown),
        timeline=[Moment(0.1, 0.2, "sql", f"SELECT {text}")] * moments,
        verdict=text * 6_000,
        others=[text] * moments,
        last_stack=LastStack([text] * frames, 1.0),
        finished=Finished(1.0, 200, "ok", text),
    )


SIZES = st.integers(0, 250)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, width=16),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.just("a"), inner, max_size=3),
    max_leaves=8,
)


@given(SIZES, SIZES, st.integers(0, 60), VALUES)
@example(250, 200, 60, [])
@settings(max_examples=25)
def test_item_is_whole_whatever_is_in_it(
    frames: int, moments: int, variables: int, app: Any
) -> None:
    """Of any size, also with texts that UTF-8 cannot hold: only these are escaped."""
    plain, odd = (
        any_report(frames, moments, variables, app, each) for each in ("\\udcff", "\udcff")
    )
    for report in (plain, odd):
        assert msgspec.json.decode(encode(DeliveryItem(report)), type=DeliveryItem).report == plain


def test_too_many_variables_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack is more important."""
    monkeypatch.setattr(item_module, "ITEM_MAX_BYTES", 10_000)
    variables = [("f", [(f"name{number}", "x" * 100) for number in range(200)])]
    report = slow_report(snapshot=Snapshot(1.0, (Frame("/a.py", 1, "f"),), variables=variables))
    line = encode(DeliveryItem(report))
    assert len(line) < 10_000
    assert msgspec.json.decode(line, type=DeliveryItem).report.snapshot == Snapshot(
        1.0, (Frame("/a.py", 1, "f"),)
    )


def test_event_that_is_too_large_is_shortened() -> None:
    """An item that is too long to be read would reach no sink; all but its event is whole."""
    report = slow_report(app_rows=[["x" * 10_000] * 200] * 10, app_n=7)
    line = encode(DeliveryItem(report))
    assert len(line) < item_module.ITEM_MAX_BYTES
    found = msgspec.json.decode(line, type=DeliveryItem).report
    assert found.event.pop("app_rows").startswith('[["xxx')
    assert found.event == {name: each for name, each in report.event.items() if name != "app_rows"}
    assert replace(found, event={}) == replace(report, event={})


def test_files_are_for_the_user_alone(spool: Spool) -> None:
    """0600 in a folder of 0700, and no partial file is left."""
    spool.put(DeliveryItem(slow_report()))
    spool.put_held(slow_report())
    with spool.limiter():
        pass
    folder = Path(spool.folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o600}
    assert not list(folder.glob("*.part"))


HOLDER = """
import sys, time
from slowhound.delivery.spool import Spool
spool = Spool(sys.argv[1])
if sys.argv[2] == "groups":
    with spool.limiter():
        print("held", flush=True); time.sleep(600)
with spool.claim(sys.argv[2]) as claimed:
    print("held" if claimed else "refused", flush=True)
    time.sleep(600 if claimed else 0)
"""


@contextmanager
def holder(spool: Spool, name: str) -> Iterator[str]:
    """What another process prints that claims this item; it is killed after the block."""
    argv = [sys.executable, "-c", HOLDER, spool.directory, name]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_only_one_process_has_an_item_until_it_dies(spool: Spool) -> None:
    """Other processes do not get an item that is claimed, until its claimer was killed."""
    name = spool.put(DeliveryItem(slow_report()))
    with holder(spool, name) as printed, spool.claim(name) as claimed:
        assert printed == "held"
        assert claimed is None
    with spool.claim(name) as claimed, holder(spool, name) as printed:
        assert claimed is not None
        assert printed == "refused"


def test_forked_child_does_not_keep_a_claim(spool: Spool) -> None:
    """Its copy of the file is closed, so the lock ends with the parent."""
    name = spool.put(DeliveryItem(slow_report()))
    with spool.claim(name) as claimed:
        assert claimed is not None
        pid = os.fork()
        if pid == 0:
            try:
                os.fstat(claimed._fd)
            except OSError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        with Spool(spool.directory).claim(name) as second:
            assert second is None


def test_sinks_that_have_an_item_are_in_its_file(spool: Spool) -> None:
    """The next process continues where the last one stopped; a line cut short is ignored."""
    name = spool.put(DeliveryItem(slow_report()))
    with spool.claim(name) as claimed:
        assert claimed is not None
        claimed.mark_delivered("first")
    with Path(spool.folder, name).open("ab") as file:
        file.write(b'\n"cut sh')
    with spool.claim(name) as claimed:
        assert claimed is not None
        assert claimed.delivered == {"first"}
        claimed.mark_delivered("second")
    with spool.claim(name) as claimed:
        assert claimed is not None
        assert claimed.delivered == {"first", "second"}


@pytest.mark.parametrize(
    "data",
    [b"", b"not json", b"\xff\xfe\n", b"[]", b'{"report":5}', b"[" * 100_000, b'{"report":{}}'],
    ids=["empty", "text", "bytes", "list", "number", "deep", "no report"],
)
def test_what_is_no_item_is_counted_and_removed(spool: Spool, data: bytes) -> None:
    """It stops nothing, and is found only once."""
    name = spool.put(DeliveryItem(slow_report()))
    path = Path(spool.folder, name)
    path.write_bytes(data)
    with spool.claim(name) as claimed:
        assert claimed is None
    assert losses.dropped == 1
    assert not path.exists()


def test_links_pipes_sockets_and_folders_are_left_alone(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also under the name of an item: they are not read, and nothing waits for them."""
    good = spool.put(DeliveryItem(slow_report()))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(Path(spool.folder, good).read_bytes())
    names = [f"{number:019}-1-0000000{number}.due" for number in range(4)]
    link, pipe, folder, server = (Path(spool.folder, name) for name in names)
    link.symlink_to(elsewhere)
    os.mkfifo(pipe)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(spool.folder)  # the path of a socket holds 107 bytes
        listening.bind(server.name)
        for name in names:
            with spool.claim(name) as claimed:
                assert claimed is None, name
    assert elsewhere.exists()
    assert losses.dropped == 0
    assert set(names) < set(spool.names())


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
@pytest.mark.root
def test_another_users_file_is_left_alone(spool: Spool) -> None:
    """A user who could write into the folder cannot make us send anything."""
    name = spool.put(DeliveryItem(slow_report()))
    os.chown(Path(spool.folder, name), 65534, 65534)
    with spool.claim(name) as claimed:
        assert claimed is None
    assert name in spool.names()


def test_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    """A link in the place of the folder is not followed."""
    (tmp_path / "target").mkdir()
    (tmp_path / "delivery").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        Spool(str(tmp_path)).put(DeliveryItem(slow_report()))
    spool_new(str(tmp_path), dead_report())
    assert losses.dropped == 1
    assert list((tmp_path / "target").iterdir()) == []


def test_oldest_items_go_when_the_spool_is_full(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are counted as lost."""
    monkeypatch.setattr(spool_module, "SPOOL_MAX_BYTES", 10_000)
    names = []
    for number in range(20):
        spool._next_size_check = 0.0
        names.append(spool.put(DeliveryItem(slow_report(number))))
        os.utime(Path(spool.folder, names[-1]), (number, number))
    kept = spool.names()
    assert 0 < len(kept) < 20
    assert kept == names[-len(kept) :]
    assert losses.dropped == 20 - len(kept)


DECIDES = """
import sys
from slowhound.config.config import Limit
from slowhound.delivery import spool as module
from slowhound.delivery.spool import Spool
from tests.harness.reports import slow_report
module.LIMITER_LOCK_TRIES = 10**6  # without the lock for a second it would decide alone
spool, sent = Spool(sys.argv[1]), 0
for number in range(50):
    with spool.limiter() as limiter:
        report = slow_report(int(sys.argv[2]) * 1000 + number)
        sent += limiter.admit(report, Limit(3, 3600), 1000.0) is not None
print(sent)
"""


def test_processes_share_the_groups(spool: Spool) -> None:
    """Four at once send as many together as one would, and each report is counted."""
    argv = [sys.executable, "-c", DECIDES, spool.directory]
    started = [
        subprocess.Popen([*argv, str(number)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        for number in range(4)
    ]
    assert sum(int(process.communicate(timeout=50)[0]) for process in started) == 3
    with spool.limiter() as limiter:
        (group,) = limiter.groups.values()
    assert (group.seen, group.held) == (200, 197)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"groups":{"a":5}}', b"\xff"])
def test_groups_that_cannot_be_read_begin_again(spool: Spool, data: bytes) -> None:
    """A broken file stops nothing."""
    with spool.limiter() as limiter:
        limiter.admit(slow_report(), None, 1.0)
    Path(spool.folder, "groups.json").write_bytes(data)
    with spool.limiter() as limiter:
        assert limiter.groups == {}


def test_groups_are_kept_in_memory_where_the_disk_takes_none(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk does not let a flood through."""

    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Spool, "_write", full)
        sent = 0
        for number in range(20):
            with spool.limiter() as limiter:
                sent += limiter.admit(slow_report(number), Limit(3, 60.0), 1.0) is not None
    assert sent == 3
    with spool.limiter() as limiter:
        assert next(iter(limiter.groups.values())).seen == 20
    with Spool(spool.directory).limiter() as limiter:  # and then on the disk again
        assert next(iter(limiter.groups.values())).seen == 20


def test_holder_of_the_groups_that_is_stopped_does_not_stop_others(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that does not get the lock in time continues with what it knows itself."""
    monkeypatch.setattr(spool_module, "LIMITER_LOCK_TRIES", 2)
    with holder(spool, "groups") as printed:
        assert printed == "held"
        with spool.limiter() as limiter:
            assert limiter.admit(slow_report(), Limit(3, 60.0), 1.0) is not None
        assert not Path(spool.folder, "groups.json").exists()
    with spool.limiter() as limiter:  # known on the disk from now on
        assert limiter.sent_ids() == {slow_report().id}
