"""Shipping: each event arrives, and counts once, whichever process dies when."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from slowhound.store import ship
from slowhound.store.answer import StoreError
from slowhound.store.clickhouse import ClickHouse, Target
from slowhound.store.clickhouse_schema import migrate
from slowhound.store.columns import clickhouse_types
from slowhound.store.duckdb import LocalFiles
from slowhound.store.ship import Shipper
from tests.harness.launch import ROOT
from tests.harness.process import started
from tests.store.events import EVENTS, START, line, request, segment

ONE = "1770000000000-11-0"


def plain(number: int) -> dict[str, Any]:
    return request(number, number / 10, "shop", 0.1)


def shipped(folder: Path, table: str) -> ship.Lag:
    shipper = Shipper(str(folder), table)
    try:
        shipper.connect()
        return shipper.ship_all()
    finally:
        shipper.close()


def counted(table: str) -> tuple[int, int]:
    """How many events there are: as queries count them, and different ones."""
    source = ClickHouse(table)
    try:
        sql = "SELECT count(*), count(DISTINCT concat(segment, ' ', req_id)) FROM events"
        ((events, different),) = source.sql(sql).rows
        return events, different
    finally:
        source.close()


@pytest.mark.slow
def test_new_events_are_sent_once(tmp_path: Path, new_table: Callable[[], str]) -> None:
    """A second call sends only what came since; so does a second process."""
    table = new_table()
    segment(tmp_path, EVENTS, ONE)
    assert shipped(tmp_path, table).sent == len(EVENTS)
    assert shipped(tmp_path, table).sent == 0
    path = segment(tmp_path, [plain(50)], ONE)
    with open(path, "ab") as file:
        file.write(line(plain(51))[:40])  # is being written
    lag = shipped(tmp_path, table)
    assert (lag.sent, lag.bytes, lag.torn) == (1, 40, 0)
    with open(path, "ab") as file:
        file.write(line(plain(51))[40:] + b"torn\n")
    lag = shipped(tmp_path, table)
    assert (lag.sent, lag.bytes, lag.torn) == (1, 0, 1)
    assert counted(table)[0] == len(EVENTS) + 2


@pytest.mark.slow
@pytest.mark.parametrize("where", ["before the insert", "after the insert", "before the position"])
def test_kill_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, new_table: Callable[[], str], where: str
) -> None:
    """SIGKILL before a batch, between a batch and its position, and while that is written."""
    table = new_table()
    for number in range(3):
        events = [plain(20 * number + each) for each in range(20)]
        segment(tmp_path, events, f"177000000000{number}-11-0")
    with started(
        [sys.executable, "-m", "tests.store.shipping", str(tmp_path), table, where, "3000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{where}\n"
        os.kill(process.pid, signal.SIGKILL)
    assert 0 < counted(table)[0] < 60
    lag = shipped(tmp_path, table)
    assert (lag.bytes, lag.torn, lag.lost) == (0, 0, 0)
    assert counted(table) == (60, 60)


def test_events_that_are_sent_twice_count_once(
    tmp_path: Path, new_table: Callable[[], str]
) -> None:
    """When the position is lost, all is sent again, and every query still counts it once."""
    table = new_table()
    segment(tmp_path, EVENTS, ONE)
    shipped(tmp_path, table)
    source = ClickHouse(table)
    before = source.ask("views").rows
    for path in (tmp_path / "ship").glob("*.json"):
        path.write_text("{broken")
    assert shipped(tmp_path, table).sent == len(EVENTS)
    stored = source._client.query(f"SELECT count() FROM {source.target.table}").result_rows
    assert stored == [(2 * len(EVENTS),)]  # both exist until ClickHouse merges them
    assert source.ask("views").rows == before
    assert source.health().events == len(EVENTS)
    source._client.command(f"OPTIMIZE TABLE {source.target.table} FINAL")
    stored = source._client.query(f"SELECT count() FROM {source.target.table}").result_rows
    assert stored == [(len(EVENTS),)]
    source.close()


def test_events_without_a_number_are_kept_apart(
    tmp_path: Path, new_table: Callable[[], str]
) -> None:
    """Those of a sidecar or a post-mortem share pid and segment, and may have no seq."""
    table = new_table()
    events = [{**plain(number), "seq": None, "ts": START} for number in range(3)]
    events += [{**plain(9), "event_type": "slow", "ts": START}, {**plain(9), "ts": START}]
    segment(tmp_path, events, ONE)
    shipped(tmp_path, table)
    assert counted(table)[0] == 5


@pytest.mark.slow
def test_compacted_segments_are_sent_from_parquet(
    tmp_path: Path, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completely, if they were not finished before, and not at all if they were."""
    table = new_table()
    segment(tmp_path, [plain(1), plain(2)], "1770000000000-11-0")
    path = segment(tmp_path, [plain(3)], "1770000000001-12-0")
    assert shipped(tmp_path, table).sent == 3
    with open(path, "ab") as file:
        file.write(line(plain(4)) + b'{"torn')
    os.utime(path, (START, START))
    segment(tmp_path, [request(5, 5, "cart", 0.1, app_plan="gold")], "1770000000002-13-0")
    torn = segment(tmp_path, [], "1770000000003-14-0")
    torn.write_bytes(b'{"torn')
    os.utime(torn, (START, START))
    assert LocalFiles(str(tmp_path)).compact() == 4
    lag = shipped(tmp_path, table)
    assert (lag.sent, lag.bytes, lag.lost) == (3, 0, 0)
    assert counted(table) == (5, 5)
    source = ClickHouse(table)
    rows = source.sql("SELECT app['app_plan'] FROM events WHERE resp_view = 'cart'").rows
    assert rows == [("gold",)]
    source.close()
    assert shipped(tmp_path, table).sent == 0


def test_files_that_were_removed_before_they_were_sent_are_counted(
    tmp_path: Path, new_table: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Retention does not wait for the shipper; the shipper reports what it missed."""
    table = new_table()
    monkeypatch.setattr(ship, "BATCH_BYTES", 1000)
    path = segment(tmp_path, [plain(number) for number in range(20)], ONE)
    shipper = Shipper(str(tmp_path), table)
    shipper.connect()
    assert shipper._ship_batch(str(path))
    path.unlink()
    assert shipper.ship_all().lost == 1
    assert shipper.ship_all().lost == 1
    shipper.close()


class RecordingClient(list[bytes]):
    """A client that keeps the rows it is given."""

    def raw_insert(self, table: str, insert_block: bytes, fmt: str, settings: Any) -> None:
        self.extend(insert_block.splitlines())

    def close(self) -> None: ...


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[tuple[Shipper, RecordingClient]]:
    """A shipper of this folder, and the rows that it has sent."""
    shipper = Shipper(str(tmp_path), "clickhouse://nobody/db")
    shipper._client = client = RecordingClient()
    yield shipper, client
    shipper.close()


def test_truncated_segment_is_sent_from_its_beginning(
    tmp_path: Path, recording: tuple[Shipper, RecordingClient]
) -> None:
    """Its process goes on writing; the lag says that something may be missing."""
    shipper, client = recording
    path = segment(tmp_path, [plain(number) for number in range(20)], ONE)
    shipper.ship_all()
    os.truncate(path, 0)
    segment(tmp_path, [plain(20)], ONE)
    assert shipper.lag().bytes == path.stat().st_size
    lag = shipper.ship_all()
    assert (lag.sent, lag.lost, lag.bytes, len(client)) == (21, 1, 0, 21)
    assert shipper.ship_all().lost == 1


def test_row_without_a_segment_is_sent(
    tmp_path: Path, recording: tuple[Shipper, RecordingClient]
) -> None:
    """As of its own file, which another program wrote."""
    shipper, client = recording
    (tmp_path / "events").mkdir(mode=0o700)
    row = "'request' AS event_type, 'h' AS host, 7 AS pid, 1.0e9 AS ts"
    rows = [f"SELECT {row}, {name} AS segment" for name in ("NULL::VARCHAR", "'other'")]
    path = tmp_path / "events" / f"{ONE}.parquet"
    duckdb.sql(f"COPY ({' UNION ALL '.join(rows)}) TO '{path}' (FORMAT parquet)")
    lag = shipper.ship_all()
    assert (lag.sent, lag.left_out) == (2, ())
    assert {json.loads(each)["segment"] for each in client} == {ONE, "other"}


def test_position_that_cannot_be_written_is_written_later(
    tmp_path: Path, recording: tuple[Shipper, RecordingClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as on a full disk; what was sent is not sent again."""

    def full(old: str, new: str, **folders: Any) -> None:
        raise OSError(28, "No space left on device")

    shipper, client = recording
    segment(tmp_path, [plain(1)], ONE)
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        for _ in range(2):
            with pytest.raises(StoreError, match="No space left"):
                shipper.ship_all()
    shipper.ship_all()
    assert len(client) == 1
    assert ONE in Path(shipper.path).read_text()


def test_unreadable_position_is_an_error(tmp_path: Path) -> None:
    """A folder in its place could not be replaced either; the next attempt is possible."""
    shipper = Shipper(str(tmp_path), "clickhouse://nobody/db")
    shipper.close()
    os.mkdir(shipper.path)
    for _ in range(2):
        with pytest.raises(StoreError, match="cannot be read"):
            Shipper(str(tmp_path), "clickhouse://nobody/db")


def test_missing_columns_are_added_to_the_table(
    tmp_path: Path, new_table: Callable[[], str]
) -> None:
    """A table of an older version is updated to this one; nothing is removed."""
    table = new_table()
    target = Target(table)
    client = target.connect()
    assert migrate(client, target) == []
    client.command(f"ALTER TABLE {target.table} DROP COLUMN gil_held_by, DROP COLUMN db_top")
    client.command(f"ALTER TABLE {target.table} ADD COLUMN of_theirs String")
    assert migrate(client, target) == ["gil_held_by", "db_top"]
    segment(tmp_path, EVENTS, ONE)
    assert shipped(tmp_path, table).sent == len(EVENTS)
    source = ClickHouse(table)
    assert source.ask("sql").rows
    source.close()
    names = [row[0] for row in client.query(f"DESCRIBE TABLE {target.table}").result_rows]
    assert set(names) == {*clickhouse_types(), "of_theirs"}


def test_table_with_another_engine_is_refused(new_table: Callable[[], str]) -> None:
    """It would count twice what is sent twice."""
    target = Target(new_table())
    client = target.connect()
    client.command(f"CREATE TABLE {target.table} (ts Float64) ENGINE = MergeTree ORDER BY ts")
    with pytest.raises(StoreError, match="need a ReplacingMergeTree"):
        migrate(client, target)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"db_queries": "many", "resp_time": "long", "db_top": [1, {"count": "x"}], "pid": -1},
        {"db_queries": 2**80, "w_rss": -(2**70), "resp_status": 200.5, "exc_handled": "yes"},
        {"host": None, "pid": None, "req_path": {"a": [1]}, "db_by_alias": {"a": {"b": 1}}},
        {"app_deep": {"a": [{"b": None}]}, "app_none": None, "app_big": 2**70, "x": True},
    ],
    ids=["types", "sizes", "missing", "application"],
)
def test_value_of_a_wrong_type_blocks_nothing(
    tmp_path: Path, new_table: Callable[[], str], wrong: dict[str, Any]
) -> None:
    """It is left out, and its event and those after it arrive."""
    table = new_table()
    segment(tmp_path, [{**plain(1), **wrong}, plain(2)], ONE)
    assert shipped(tmp_path, table).sent == 2
    assert counted(table)[0] == 2


def test_only_one_process_ships_to_a_target(tmp_path: Path, new_table: Callable[[], str]) -> None:
    """The second gets an error; to another target it may ship."""
    table = new_table()
    segment(tmp_path, EVENTS, ONE)
    first = Shipper(str(tmp_path), table)
    with pytest.raises(StoreError, match="another process ships"):
        Shipper(str(tmp_path), table)
    Shipper(str(tmp_path), new_table()).close()
    first.close()
    Shipper(str(tmp_path), table).close()


def test_position_is_private_and_has_no_password(tmp_path: Path) -> None:
    """Files have mode 0600, and the target's name is without the password."""
    shipper = Shipper(str(tmp_path), "clickhouse://user:geheim@127.0.0.1:1/db")
    shipper._save()
    shipper.close()
    (path,) = (tmp_path / "ship").glob("*.json")
    assert path.stat().st_mode & 0o777 == 0o600
    assert "geheim" not in path.read_text()
    assert json.loads(path.read_text())["target"].startswith("clickhouse://127.0.0.1:1/db")


def test_connection_error_is_without_the_password(tmp_path: Path) -> None:
    """One line for people."""
    with pytest.raises(StoreError, match="does not answer") as refused:
        ClickHouse("clickhouse://user:geheim@127.0.0.1:1/db")
    assert "geheim" not in str(refused.value)
