"""Segments and compaction: nothing is lost, doubled or blocked, whichever process dies when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from slowhound.store import compaction
from slowhound.store.answer import StoreError
from slowhound.store.duckdb import LocalFiles
from slowhound.store.segments import SEGMENTS, open_segment
from slowhound.store.tail import last_events
from slowhound.system import losses
from slowhound.system.private_dir import keep_within
from tests.harness.launch import ROOT
from tests.harness.process import started
from tests.store.events import EVENTS, START, line, request, segment

ONE = "1770000000000-11-0"
TWO = "1770000000001-12-0"
WRITER = """
import sys, json, os
from slowhound.store.segments import open_segment
segment = open_segment(sys.argv[1], 2**30)
print(os.path.basename(segment.name), flush=True)
for text in sys.stdin:
    segment.write(text.encode())
    print("written", flush=True)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "events").iterdir())


def ids(source: LocalFiles) -> list[str]:
    return [row[0] for row in source.sql("SELECT req_id FROM events ORDER BY ts, req_id").rows]


def plain(number: int) -> dict[str, object]:
    return request(number, number, "shop", 0.1)


def test_closed_segments_become_one_file(tmp_path: Path) -> None:
    """All together, private, as old as the youngest of them, and with the same events."""
    segment(tmp_path, [plain(1), plain(2)], ONE)
    os.utime(segment(tmp_path, [plain(3)], TWO), (START + 5, START + 5))
    source = LocalFiles(str(tmp_path))
    progress: list[tuple[int, int]] = []
    before = ids(source)
    assert source.compact(lambda done, total: progress.append((done, total))) == 2
    assert names(tmp_path) == [f"{ONE}.parquet"]
    made = (tmp_path / "events" / f"{ONE}.parquet").stat()
    assert (made.st_mode & 0o777, made.st_mtime) == (0o600, START + 5)
    assert progress[-1][0] == progress[-1][1] > 0
    assert ids(source) == before == ["r1", "r2", "r3"]
    rows = source.sql("SELECT segment, count(*) FROM events GROUP BY segment ORDER BY segment").rows
    assert rows == [(ONE, 2), (TWO, 1)]


SIGNS = ["shop[1]", "shop*", "shop?", "[a-z]", "shop\\1", "shop'1", "host=web1", "x=1"]


@pytest.mark.parametrize("name", SIGNS)
def test_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    """DuckDB takes some names for patterns, and ``host=web1`` for the value of a column."""
    segment(tmp_path / "shop1", [plain(2)], ONE)
    segment(tmp_path / name, [plain(1)], ONE)
    source = LocalFiles(str(tmp_path / name))
    host = plain(1)["host"]

    def answers() -> list[Any]:
        text = "SELECT req_id, host FROM events"
        found = last_events(source.folder, 10, lambda event: True)[0]
        return [
            source.sql(text).rows,
            source.adhoc(text).rows,
            [tuple(map(found[0].get, ("req_id", "host")))],
        ]

    row = (ids(source)[0], host)
    assert answers() == [[row]] * 3
    assert source.compact() == 1
    assert answers() == [[row]] * 3
    assert "x" not in source.sql("SELECT * FROM events").columns


def test_segment_in_use_or_with_a_box_is_not_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The segment of a running writer, one that was just written, one of a worker with a box."""
    # A second may pass in this test; the old segments are an hour old.
    monkeypatch.setattr(compaction, "QUIET_SECONDS", 1800.0)
    segment(tmp_path, [plain(1)], "1770000000000-11-0")
    segment(tmp_path, [plain(2)], "1770000000000-12-0", old=False)
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "11-5.box").touch()
    writer = open_segment(str(tmp_path), 2**30)
    writer.write(line(plain(3)))
    os.utime(writer.name, (START, START))
    segment(tmp_path, [], "1770000000000-13-0")  # its writer may be about to lock it
    before = names(tmp_path)
    source = LocalFiles(str(tmp_path))
    assert source.compact() == 0
    assert names(tmp_path) == before
    assert ids(source) == ["r1", "r2", "r3"]
    writer.close()
    assert source.compact() == 1


def test_full_segment_is_closed(tmp_path: Path) -> None:
    """Its lock is released one tick after the next segment was begun."""
    writer = open_segment(str(tmp_path), 800)
    writer.write(line(plain(1)))
    first = writer.name
    writer.size = 10**9
    assert writer.tend()
    writer.write(line(plain(2)))
    writer.tend()
    os.utime(first, (START, START))
    os.utime(writer.name, (START, START))
    source = LocalFiles(str(tmp_path))
    assert source.compact() == 1
    assert not os.path.exists(first)
    assert os.path.exists(writer.name)
    assert ids(source) == ["r1", "r2"]
    writer.close()


def test_killed_writer_loses_at_most_its_last_line(tmp_path: Path) -> None:
    """After SIGKILL the segment is closed, with all that was written."""
    with started(
        [sys.executable, "-c", WRITER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        for number in range(3):
            process.stdin.write(line(plain(number)).decode())
            process.stdin.flush()
            assert process.stdout.readline() == "written\n"
        path = tmp_path / "events" / name
        os.utime(path, (START, START))
        source = LocalFiles(str(tmp_path))
        assert source.compact() == 0  # its writer is running
        os.kill(process.pid, signal.SIGKILL)
    assert source.compact() == 1
    assert ids(source) == ["r0", "r1", "r2"]


def test_line_that_is_cut_at_any_byte_is_skipped_and_counted(tmp_path: Path) -> None:
    """As by a SIGKILL or a full disk, within a character, too; alone and after other lines."""
    whole = line(request(2, 2, "shöp\u6f22", 0.1, app_name="\u6f22"))
    whole = json.dumps(json.loads(whole), ensure_ascii=False).encode() + b"\n"
    # Each length is a segment; they share one store to save time.
    lengths = range(1, len(whole) - 1, 5)
    for number, length in enumerate(lengths):
        path = segment(tmp_path, [plain(1)], f"1770000000000-{number + 1}-0")
        with open(path, "ab") as file:
            file.write(whole[:length])
        os.utime(path, (START, START))
    source = LocalFiles(str(tmp_path))
    for _ in range(2):
        health = source.health()
        assert (health.events, health.torn, health.problems) == (len(lengths), len(lengths), ())
        assert set(ids(source)) == {"r1"}
        source.compact()
    assert len(names(tmp_path)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x00" * 300,
        b"[1, 2]\n",
        b'"text"\n',
        b"null\n",
        b"{}\n",
        b'{"event_type":"request"\n{"a":1}\n',
        b"\xff\xfe{}\n",
        b'{"event_type": {"a": [1]}, "ts": "soon", "db_top": "none", "pid": 1e99}\n',
        b"[" * 5000 + b"\n",
        b'{"event_type":"request","req_path":"' + b"x" * 20_000_000 + b'"}\n',
    ],
    ids=["zeros", "list", "text", "null", "empty", "cut", "bytes", "types", "deep", "long"],
)
def test_garbage_in_a_segment_hides_no_other_segment(tmp_path: Path, wrong: bytes) -> None:
    """Whatever a file contains, the events of the others are found."""
    path = segment(tmp_path, [], ONE)
    path.write_bytes(wrong)
    os.utime(path, (START, START))
    segment(tmp_path, [plain(7)], TWO)
    source = LocalFiles(str(tmp_path))
    for _ in range(2):
        assert "r7" in ids(source)
        assert source.ask("views").objects()[-1]["view"] in ("shop", None)
        try:
            source.compact()
        except StoreError as exc:
            assert "could not be compacted" in str(exc)  # noqa: PT017
        # The readable one is compacted, with the other or alone.
        assert not (tmp_path / "events" / f"{TWO}.jsonl").exists()


def test_reader_that_died_between_the_two_steps_doubles_nothing(tmp_path: Path) -> None:
    """Both the Parquet file and the segments exist: each event counts once."""
    for name in (ONE, TWO):
        segment(tmp_path, [plain(1), plain(2)] if name == ONE else [], name)
    kept = {path: path.read_bytes() for path in (tmp_path / "events").iterdir()}
    source = LocalFiles(str(tmp_path))
    assert source.compact() == 1
    for path, data in kept.items():
        path.write_bytes(data)
        os.utime(path, (START, START))
    again = LocalFiles(str(tmp_path))
    assert ids(again) == ["r1", "r2"]
    again.compact()
    assert [name for name in names(tmp_path) if name.startswith(ONE)] == [f"{ONE}.parquet"]
    assert ids(again) == ["r1", "r2"]


def test_failed_compaction_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, here at the last step before the rename."""
    segment(tmp_path, [plain(1)], ONE)
    source = LocalFiles(str(tmp_path))

    def full(path: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction, "_to_disk", full)
    with pytest.raises(StoreError, match="No space left"):
        source.compact()
    assert names(tmp_path) == [f"{ONE}.jsonl"]
    assert ids(source) == ["r1"]


def test_stale_unfinished_file_is_removed(tmp_path: Path) -> None:
    """A recent one may still be written."""
    segment(tmp_path, [plain(1)], ONE)
    for age, pid in ((0, 1), (1000, 2)):
        path = tmp_path / "events" / f"compacting-{pid}-5.tmp"
        path.touch()
        os.utime(path, (time.time() - age, time.time() - age))
    LocalFiles(str(tmp_path)).compact()
    assert names(tmp_path) == [f"{ONE}.parquet", "compacting-1-5.tmp"]


@pytest.mark.slow
def test_readers_see_each_event_once_while_others_compact_and_write(tmp_path: Path) -> None:
    """Two compact, one writes and rotates, one reads: every answer has whole events."""
    writer = open_segment(str(tmp_path), 2**30)
    ends = threading.Event()
    failed: list[Exception] = []

    def compact() -> None:
        source = LocalFiles(str(tmp_path))
        while not ends.is_set():
            try:
                source.compact()
            except Exception as exc:
                failed.append(exc)

    threads = [threading.Thread(target=compact) for _ in range(2)]
    for thread in threads:
        thread.start()
    source = LocalFiles(str(tmp_path))
    try:
        for number in range(8):
            writer.write(line(plain(number)))
            old = writer.name
            writer.size = 10**12
            writer.tend()
            os.utime(old, (START, START))
            assert source.sql("SELECT count(*), count(DISTINCT req_id) FROM events").rows == [
                (number + 1, number + 1)
            ]
    finally:
        ends.set()
        for thread in threads:
            thread.join()
        writer.close()
    assert failed == []
    assert losses.dropped == 0
    assert any(name.endswith(".parquet") for name in names(tmp_path))


def test_folder_of_another_user_is_read_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is compacted or written."""
    segment(tmp_path, [plain(1)], ONE)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    source = LocalFiles(str(tmp_path))
    assert source.compact() == 0
    assert ids(source) == ["r1"]
    assert names(tmp_path) == [f"{ONE}.jsonl"]


def test_links_and_folders_are_no_segments(tmp_path: Path) -> None:
    """A link could lead to a file of another user."""
    segment(tmp_path, [plain(1)], ONE)
    other = tmp_path / "other.jsonl"
    other.write_bytes(line(plain(9)))
    (tmp_path / "events" / f"{TWO}.jsonl").symlink_to(other)
    (tmp_path / "events" / "1770000000002-13-0.jsonl").mkdir()
    os.mkfifo(tmp_path / "events" / "1770000000003-13-0.jsonl")
    source = LocalFiles(str(tmp_path))
    assert ids(source) == ["r1"]
    source.compact()
    assert other.exists()


def test_store_without_events_is_empty_and_not_broken(tmp_path: Path) -> None:
    """Without a folder, or with an empty one."""
    for folder in (tmp_path, tmp_path / "none"):
        source = LocalFiles(str(folder))
        assert source.ask("views").rows == []
        assert source.health() == (0, 0, 0, 0, None, None, ())


def test_files_of_another_version_have_the_columns_of_this_one(tmp_path: Path) -> None:
    """A column that an old file lacks is null; an unknown one is harmless."""
    import duckdb

    folder = tmp_path / "events"
    folder.mkdir(parents=True)
    duckdb.sql(
        "SELECT 'request' AS event_type, 1.5::DOUBLE AS ts, 'a' AS req_id, 'x' AS gone"
    ).write_parquet(str(folder / f"{ONE}.parquet"))
    segment(tmp_path, [plain(1)], TWO)
    rows = LocalFiles(str(tmp_path)).sql("SELECT req_id, db_n1 FROM events ORDER BY ts").rows
    assert rows == [("a", None), ("r1", None)]


def test_oldest_files_are_removed_by_bytes_and_by_age(tmp_path: Path) -> None:
    """Segments and Parquet files alike; the one in use stays."""
    folder = tmp_path / "events"
    now = time.time()
    for number, age in enumerate((500, 400, 300, 200)):
        path = segment(tmp_path, EVENTS, f"177000000000{number}-11-0")
        if number % 2:
            path = path.rename(path.with_suffix(".parquet"))
        os.utime(path, (now - age, now - age))
    size = path.stat().st_size
    current = str(folder / "1770000000000-11-0.jsonl")
    assert keep_within(str(folder), 10 * size, SEGMENTS, current, max_age=350) == 1
    assert names(tmp_path) == [
        "1770000000000-11-0.jsonl",
        "1770000000002-11-0.jsonl",
        "1770000000003-11-0.parquet",
    ]
    assert keep_within(str(folder), 2 * size, SEGMENTS) == 1
    assert len(names(tmp_path)) == 2
