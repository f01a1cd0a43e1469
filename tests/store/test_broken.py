"""A file that cannot be read is left out and named, and the others are still read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import broken, ship, tail
from slowhound.store.answer import StoreError
from slowhound.store.duckdb import LocalFiles
from slowhound.store.segments import SEGMENTS
from slowhound.store.ship import Shipper
from slowhound.store.tail import last_events
from slowhound.system.private_dir import keep_within
from tests.harness.command import slowhound
from tests.store.broken import BROKEN, GOOD, IDS, counting, seven
from tests.store.events import EVENTS, segment


def footer(data: bytes) -> int:
    """Where the footer begins, after the pages."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


PARQUET: dict[str, Callable[[bytes], bytes]] = {
    "no Parquet at all": lambda data: b"PAR1 no such thing PAR1",
    "empty": lambda data: b"",
    "four bytes": lambda data: b"PAR1",
    "cut in half": lambda data: data[: len(data) // 2],
    "length of the footer": lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
    "footer": lambda data: data[:-60] + b"\xff" * 40 + data[-20:],
    # The footer has all that count(), min() and max() need.
    "pages": lambda data: data[:4] + b"\xff" * (footer(data) - 4) + data[footer(data) :],
}


@pytest.fixture(params=PARQUET)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A broken Parquet file beside a segment with the event r7."""
    segment(tmp_path, EVENTS, BROKEN)
    LocalFiles(str(tmp_path)).compact()
    path = tmp_path / "events" / f"{BROKEN}.parquet"
    path.write_bytes(PARQUET[request.param](path.read_bytes()))
    segment(tmp_path, [seven()], GOOD)
    return path


@pytest.mark.slow  # 0.4 s each
def test_questions_are_answered_from_the_other_files(tmp_path: Path, path: Path) -> None:
    """By the named questions and ad-hoc SQL; the remarks and the health name the file."""
    for ask in (LocalFiles.sql, LocalFiles.adhoc):
        source = LocalFiles(str(tmp_path))
        answer = ask(source, IDS)
        assert answer.rows == [("r7",)]
        assert [remark.startswith(f"left out: {path.name}: ") for remark in answer.remarks] == [
            True
        ]
        assert [path.name in problem for problem in source.health().problems] == [True]


@pytest.mark.slow
def test_compaction_continues(tmp_path: Path, path: Path) -> None:
    """The segment beside the broken file becomes a Parquet file."""
    assert LocalFiles(str(tmp_path)).compact() == 1
    assert LocalFiles(str(tmp_path)).sql(IDS).rows == [("r7",)]


def test_tail_shows_the_other_files(tmp_path: Path, path: Path) -> None:
    """And the name of the one that it cannot read."""
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert [event["req_id"] for event in found] == ["r7"]
    assert [path.name in problem for problem in left_out] == [True]


def test_shipping_continues(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is sent, nothing of the file is, the lag names it, and the next call skips it."""
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    tried = counting(monkeypatch, shipper, "_ship_parquet")
    for _ in range(2):
        lag = shipper.ship_all()
        assert ([path.name in problem for problem in lag.left_out], lag.bytes) == ([True], 0)
    assert ([row["req_id"] for row in sent], len(tried)) == (["r7"], 1)
    shipper.close()


def test_nothing_is_sent_of_a_truncated_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its rows would be sent again with every attempt."""
    path = tmp_path / "events" / f"{BROKEN}.parquet"
    segment(tmp_path, [], GOOD)
    duckdb.sql(
        "SELECT 'request' AS event_type, 1.5::DOUBLE AS ts, hash(range)::VARCHAR AS req_id,"
        " chr(97 + (range // 2048)::INT) AS segment FROM range(4096)"
    ).write_parquet(str(path), row_group_size=2048)
    data = path.read_bytes()
    middle = footer(data) * 3 // 4
    path.write_bytes(data[:middle] + b"\xff" * 1000 + data[middle + 1000 :])
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    assert (len(shipper.ship_all().left_out), sent) == (1, [])
    shipper.close()


def test_broken_segment_is_left_out_and_named(tmp_path: Path) -> None:
    """By queries and by compaction; here by a name that DuckDB takes for a path, and refuses."""
    wrong = segment(tmp_path, [{**seven(), "$.a[": 1}], BROKEN)
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    answer = source.sql("SELECT req_id, app FROM events")
    assert (answer.rows, [wrong.name in remark for remark in answer.remarks]) == (
        [("r7", {})],
        [True],
    )
    with pytest.raises(StoreError, match=f"could not be compacted: {wrong.name}: "):
        source.compact()


def test_segment_that_cannot_be_opened_stops_neither_tail_nor_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one of another user."""
    wrong = segment(tmp_path, EVENTS, BROKEN)
    segment(tmp_path, [seven()], GOOD)

    def refusing(name: str, *rest: Any, **more: Any) -> Any:
        if name == str(wrong):
            raise PermissionError(13, "Permission denied")
        return open(name, *rest, **more)

    monkeypatch.setattr(tail, "open", refusing, raising=False)
    monkeypatch.setattr(ship, "open", refusing, raising=False)
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert ([event["req_id"] for event in found], len(left_out)) == (["r7"], 1)
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    assert shipper.ship_all().left_out == left_out
    assert [row["req_id"] for row in sent] == ["r7"]
    shipper.close()


@pytest.mark.parametrize("command", [["ask", "views"], ["tail", "-f"], ["reports"]])
def test_unreadable_folder_is_one_line(tmp_path: Path, command: list[str]) -> None:
    """Of each command; here a file has the folder's name."""
    (tmp_path / "events").touch()
    done = slowhound(command[0], tmp_path, *command[1:])
    assert done.returncode == 1
    assert f"Not a directory: '{tmp_path}/events'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_file_that_became_readable_is_in_the_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute; until then no query reads all files to find the broken one."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    source.compact()
    (path,) = (tmp_path / "events").iterdir()
    data = path.read_bytes()
    path.write_bytes(b"broken")
    assert source.sql(IDS).rows == []
    path.write_bytes(data)
    assert len(source.sql(IDS).remarks) == 1
    monkeypatch.setattr(broken, "RETRY_AFTER", -1.0)
    assert source.sql(IDS) == (("req_id",), [("r7",)], ())


def test_broken_file_with_the_name_of_a_segment_does_not_stop_compaction(tmp_path: Path) -> None:
    """That segment cannot be compacted, but the others are."""
    segment(tmp_path, [seven()], BROKEN)
    (tmp_path / "events" / f"{BROKEN}.parquet").write_bytes(b"broken")
    segment(tmp_path, EVENTS, GOOD)
    with pytest.raises(StoreError, match="does not contain the segment"):
        LocalFiles(str(tmp_path)).compact()
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == [
        f"{BROKEN}.jsonl",
        f"{BROKEN}.parquet",
        f"{GOOD}.parquet",
    ]


def test_other_things_than_files_are_ignored(tmp_path: Path) -> None:
    """A folder, a pipe or a link with a file's name: reading does not block, and they remain."""
    folder = segment(tmp_path, [seven()], GOOD).parent
    for number, name in enumerate(("jsonl", "parquet")):
        (folder / f"177000000000{number}-1-1.{name}").mkdir()
        os.mkfifo(folder / f"177000000000{number}-1-2.{name}")
        (folder / f"177000000000{number}-1-3.{name}").symlink_to("/etc/passwd")
    (folder / "compacting-1-1.tmp").mkdir()
    others = sorted(path.name for path in folder.iterdir() if GOOD not in path.name)
    source = LocalFiles(str(tmp_path))
    for ask in (LocalFiles.sql, LocalFiles.adhoc):
        assert ask(source, IDS) == (("req_id",), [("r7",)], ())
    found, left_out = last_events(str(folder), 9, lambda event: True)
    assert ([event["req_id"] for event in found], left_out) == (["r7"], ())
    assert source.compact() == 1
    keep_within(str(folder), 1, SEGMENTS, "", 1.0)
    assert sorted(path.name for path in folder.iterdir()) == others
