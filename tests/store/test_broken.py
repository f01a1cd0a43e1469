"""A file that cannot be read is left out and named, and hides nothing of the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import broken, reading, ship
from slowhound.store.broken import UnreadableError
from slowhound.store.connections import DatabaseLostError
from slowhound.store.duckdb import LocalFiles
from slowhound.store.reading import last_events
from slowhound.store.ship import Shipper
from slowhound.store.source import StoreError
from tests.harness.command import slowhound
from tests.store.events import EVENTS, request, segment

BROKEN = "1770000000000-11-0"
GOOD = "1770000000001-12-0"
IDS = "SELECT req_id FROM events"


def footer(data: bytes) -> int:
    """Where it begins; the pages are before it."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


PARQUET: dict[str, Callable[[bytes], bytes]] = {
    "no Parquet at all": lambda data: b"PAR1 no such thing PAR1",
    "empty": lambda data: b"",
    "four bytes": lambda data: b"PAR1",
    "cut in half": lambda data: data[: len(data) // 2],
    "length of the footer": lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
    "footer": lambda data: data[:-60] + b"\xff" * 40 + data[-20:],
    # The footer says all that count(), min() and max() need.
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


class OddError(Exception):
    """Of a class that nobody expects, as the next version of DuckDB may have it."""


ODD = (duckdb.Error, RuntimeError, UnicodeError, MemoryError, OSError, OddError)


def seven() -> dict[str, Any]:
    return request(7, 7, "shop", 0.1)


def counting(monkeypatch: pytest.MonkeyPatch, what: Any, name: str) -> list[Any]:
    """Gets one item with each call of the method."""
    calls: list[Any] = []
    method = getattr(what, name)

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return method(*arguments)

    monkeypatch.setattr(what, name, counted)
    return calls


def test_questions_are_answered_from_the_other_files(tmp_path: Path, path: Path) -> None:
    """Ours and a person's; the notes and the health name the file."""
    for ask in (LocalFiles.sql, LocalFiles.adhoc):
        source = LocalFiles(str(tmp_path))
        answer = ask(source, IDS)
        assert answer.rows == [("r7",)]
        assert [note.startswith(f"left out: {path.name}: ") for note in answer.notes] == [True]
        assert [path.name in problem for problem in source.health().problems] == [True]


def test_compaction_goes_on(tmp_path: Path, path: Path) -> None:
    """The segment beside the file becomes a file of its own."""
    assert LocalFiles(str(tmp_path)).compact() == 1
    assert LocalFiles(str(tmp_path)).sql(IDS).rows == [("r7",)]


def test_tail_shows_the_other_files(tmp_path: Path, path: Path) -> None:
    """And gets the name of the one that it cannot show."""
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert [event["req_id"] for event in found] == ["r7"]
    assert [path.name in said for said in left_out] == [True]


def test_shipping_goes_on(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is sent, nothing of the file is, the lag names it, and the next round skips it."""
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    tried = counting(monkeypatch, shipper, "_ship_parquet")
    for _ in range(2):
        lag = shipper.round()
        assert ([path.name in said for said in lag.left_out], lag.bytes) == ([True], 0)
    assert ([row["req_id"] for row in sent], len(tried)) == (["r7"], 1)
    shipper.close()


def test_nothing_is_sent_of_a_file_that_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be sent again with every try."""
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
    assert (len(shipper.round().left_out), sent) == (1, [])
    shipper.close()


@pytest.mark.parametrize("error", ODD)
def test_class_of_what_is_raised_means_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The file is left out and named by all who read it, and the text stays."""
    segment(tmp_path, EVENTS, BROKEN)
    source = LocalFiles(str(tmp_path))
    source.compact()
    (path,) = (tmp_path / "events").iterdir()
    segment(tmp_path, [seven()], GOOD)
    of_duckdb = duckdb.DuckDBPyConnection.execute

    class Odd:
        """A connection that reads all but this file."""

        def __init__(self, connection: Any) -> None:
            self.connection = connection

        def __getattr__(self, name: str) -> Any:
            return getattr(self.connection, name)

        def execute(self, query: str, *rest: Any) -> Any:
            if str(path) in query:
                raise error("odd\nand more")
            return of_duckdb(self.connection, query, *rest)

        def cursor(self) -> Any:
            return Odd(self.connection.cursor())

    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *each, **more: Odd(connect(*each, **more)))
    said = (f"{path.name}: odd",)
    for ask in (LocalFiles.sql, LocalFiles.adhoc):
        source = LocalFiles(str(tmp_path))
        assert ask(source, IDS) == (("req_id",), [("r7",)], (f"left out: {said[0]}",))
        assert source.health().problems == said
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert ([event["req_id"] for event in found], left_out) == (["r7"], said)
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", lambda rows: None)
    assert shipper.round().left_out == said
    shipper.close()
    assert source.compact() == 1


def test_what_is_ours_keeps_its_class() -> None:
    """An error of the store's own is for people already, and Ctrl-C ends the command."""
    for ours in (StoreError("no"), UnreadableError("no"), DatabaseLostError("no")):
        with pytest.raises(StoreError) as raised, broken.reading():
            raise ours
        assert raised.value is ours
    with pytest.raises(KeyboardInterrupt), broken.reading():
        raise RuntimeError("Query interrupted")


def test_broken_segment_is_left_out_and_named(tmp_path: Path) -> None:
    """By questions and by compaction; here by a name that DuckDB takes for a path, and refuses."""
    wrong = segment(tmp_path, [{**seven(), "$.a[": 1}], BROKEN)
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    answer = source.sql("SELECT req_id, app FROM events")
    assert (answer.rows, [wrong.name in note for note in answer.notes]) == ([("r7", {})], [True])
    with pytest.raises(StoreError, match=f"could not be compacted: {wrong.name}: "):
        source.compact()


def test_segment_that_cannot_be_opened_stops_neither_tail_nor_ship(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of another user's."""
    wrong = segment(tmp_path, EVENTS, BROKEN)
    segment(tmp_path, [seven()], GOOD)

    def refusing(name: str, *rest: Any, **more: Any) -> Any:
        if name == str(wrong):
            raise PermissionError(13, "Permission denied")
        return open(name, *rest, **more)

    monkeypatch.setattr(reading, "open", refusing, raising=False)
    monkeypatch.setattr(ship, "open", refusing, raising=False)
    found, left_out = last_events(str(tmp_path / "events"), 9, lambda event: True)
    assert ([event["req_id"] for event in found], len(left_out)) == (["r7"], 1)
    sent: list[Any] = []
    shipper = Shipper(str(tmp_path), "clickhouse://127.0.0.1:1/db")
    monkeypatch.setattr(shipper, "_insert", sent.extend)
    assert shipper.round().left_out == left_out
    assert [row["req_id"] for row in sent] == ["r7"]
    shipper.close()


@pytest.mark.parametrize("command", [["ask", "views"], ["tail", "-f"], ["reports"]])
def test_folder_that_cannot_be_read_is_one_line(tmp_path: Path, command: list[str]) -> None:
    """Each command says which it is; here a file has its name."""
    (tmp_path / "events").touch()
    done = slowhound(command[0], tmp_path, *command[1:])
    assert done.returncode == 1
    assert f"Not a directory: '{tmp_path}/events'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_file_that_can_be_read_again_is_in_the_answers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A minute later; until then no answer reads all files to find the one."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    source.compact()
    (path,) = (tmp_path / "events").iterdir()
    data = path.read_bytes()
    path.write_bytes(b"broken")
    assert source.sql(IDS).rows == []
    path.write_bytes(data)
    assert len(source.sql(IDS).notes) == 1
    monkeypatch.setattr(broken, "AGAIN_AFTER", -1.0)
    assert source.sql(IDS) == (("req_id",), [("r7",)], ())


@pytest.mark.parametrize(
    ("text", "said", "counts"),
    [
        ("SELECT nothing FROM events", "nothing", (2, 0)),
        ("SELECT req_id::INT FROM events", "r7", (3, 1)),
    ],
    ids=["slip", "value"],
)
def test_error_of_the_question_is_blamed_on_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str, counts: tuple[int, int]
) -> None:
    """A slip fails over no file, too; else it is tried again when each file was read."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    tried = counting(monkeypatch, source, "_locked")
    checked = counting(monkeypatch, source, "_reads")
    with pytest.raises(StoreError, match=said):
        source.adhoc(text)
    assert (len(tried), len(checked)) == counts
    assert source.sql(IDS).notes == ()


@pytest.mark.parametrize(
    "errors",
    [[DatabaseLostError] * 2, [ValueError], [OddError]],
    ids=["database broken by others", "text that is no UTF-8", "any other"],
)
def test_error_that_does_not_come_again_is_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: list[type[Exception]]
) -> None:
    """The answer is given by the next try, and each file is read once for that, at most."""
    segment(tmp_path, [seven()], GOOD)
    source = LocalFiles(str(tmp_path))
    left, viewing = [*errors], source._viewing

    def failing(files: Any) -> Any:
        if left:
            raise left.pop()("no")
        return viewing(files)

    monkeypatch.setattr(source, "_viewing", failing)
    checked = counting(monkeypatch, source, "_reads")
    assert source.sql(IDS) == (("req_id",), [("r7",)], ())
    assert len(checked) == 1


def test_compaction_goes_on_beside_a_broken_file_of_the_same_name(tmp_path: Path) -> None:
    """What it would have been called is taken; the other segments do not wait for that."""
    segment(tmp_path, [seven()], BROKEN)
    (tmp_path / "events" / f"{BROKEN}.parquet").write_bytes(b"broken")
    segment(tmp_path, EVENTS, GOOD)
    with pytest.raises(StoreError, match="does not hold the segment"):
        LocalFiles(str(tmp_path)).compact()
    assert sorted(path.name for path in (tmp_path / "events").iterdir()) == [
        f"{BROKEN}.jsonl",
        f"{BROKEN}.parquet",
        f"{GOOD}.parquet",
    ]
