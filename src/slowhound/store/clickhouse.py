"""The source of events of a fleet: one table in ClickHouse.

The table is a ``ReplacingMergeTree``: a merge makes one row of events that were shipped twice.
Until then ``final = 1``, a setting of every query, does so while reading.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit, urlunsplit

from slowhound.runtime.clocks import clock
from slowhound.store import clickhouse_bounded
from slowhound.store.answer import Answer, Health, StoreError, finite_row
from slowhound.store.clickhouse_select_only import check
from slowhound.store.dialect import for_clickhouse
from slowhound.store.source import Source

# Joins, casts and aggregates of no rows as in DuckDB; names in WHERE are columns, not aliases.
QUERY_SETTINGS = {
    "final": 1,
    "join_use_nulls": 1,
    "cast_keep_nullable": 1,
    "aggregate_functions_null_for_empty": 1,
    "prefer_column_name_to_alias": 1,
}
TABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# Limits of ad-hoc SQL, for the server's blocks are larger than DuckDB's. A list is made in one
# step, which nothing interrupts: sorting one of 100 million numbers took 2 GB, and 80 s instead of
# the 4 s allowed.
RESOURCE_LIMITS = {
    "max_memory_usage": 1024**3,
    "max_threads": 4,
    "function_range_max_elements_in_block": 10_000_000,
}
RESPONSE_GRACE = 2.0  # seconds that the server has to report that it stopped
# Rows with the same key are one event: the four columns that identify it, and those that tell
# events without a ``seq`` (of the sidecar) apart. The time comes first, as queries are by time.
SORTING_KEY = "(ts, host, pid, segment, ifNull(seq, 0), event_type, ifNull(req_id, ''))"
DEFAULT_PORTS = {"clickhouse": 8123, "clickhouses": 8443}


class Target:
    """The parts of ``clickhouse://user:password@host:port/database?table=events``."""

    def __init__(self, spec: str) -> None:
        try:
            parts = urlsplit(spec)
        except ValueError:
            # The message of ``exc`` would repeat the address, with its password.
            raise StoreError("invalid address of ClickHouse: write [ as %5B") from None
        options = parse_qs(parts.query)
        self.table = options.pop("table", ["events"])[0]
        if not TABLE_NAME.fullmatch(self.table) or options:
            raise StoreError("only ?table=NAME may follow the database of ClickHouse")
        self.parts = parts
        try:
            self.port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError:
            # It may be half of a password, so the message does not repeat it.
            raise StoreError("the port is not a number; write a / in a password as %2F") from None
        self.database = parts.path.strip("/") or "default"

    @property
    def name(self) -> str:
        """The address without user and password, for people and file names."""
        host = f"{self.parts.hostname}:{self.port}" if self.parts.hostname else ""
        return urlunsplit((self.parts.scheme, host, f"/{self.database}", f"table={self.table}", ""))

    def connect(self) -> Any:
        """A client of the library ``clickhouse_connect``.

        Raises:
            StoreError: it is not installed, or the server does not answer.
        """
        try:
            import clickhouse_connect
        except ImportError as exc:
            raise StoreError("this needs a library: pip install 'slowhound[clickhouse]'") from exc
        for name in ("clickhouse_connect", "urllib3"):
            # Keeps their warnings out of a command's output; handlers of the application get them.
            logging.getLogger(name).addHandler(logging.NullHandler())
        parts = self.parts
        try:
            if parts.scheme == "chdb":
                # Versions before 1.6 take the address for a server's, unless the interface is one
                # that they do not know.
                address = f"chdb://{parts.path or 'memory'}"
                return clickhouse_connect.get_client(interface="chdb", dsn=address)
            return clickhouse_connect.get_client(
                host=parts.hostname or "localhost",
                port=self.port,
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password or os.environ.get("CLICKHOUSE_PASSWORD", "")),
                database=self.database,
                secure=parts.scheme == "clickhouses",
                connect_timeout=10,
                autogenerate_session_id=False,  # several threads query at once
            )
        except Exception as exc:
            raise StoreError(f"{self.name} does not answer: {error_text(exc)}") from exc


def error_text(exc: Exception) -> str:
    """The first line of an error of ClickHouse or of the network."""
    return str(exc).strip().partition("\n")[0][:500] or type(exc).__name__


class ClickHouse(Source):
    """The events in one table in ClickHouse.

    Args:
        spec: see ``open.open_source``.

    Raises:
        StoreError: the library is not installed, or the server does not answer.
    """

    def __init__(self, spec: str) -> None:
        self.target = Target(spec)
        self._client = self.target.connect()
        # chdb (in tests) has one session in this process, so one thread can query at a time.
        self._lock: Any = threading.Lock() if spec.startswith("chdb:") else contextlib.nullcontext()

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See ``Source.sql``."""
        values = dict(parameters or {})
        wanted = for_clickhouse(text, self.target.table, values)
        return self._query(wanted, QUERY_SETTINGS, values)

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """See ``Source.adhoc``.

        The user in the specification should only have the right to SELECT from this table; the
        checks here are in addition to that. The answer is cut like that of ``LocalFiles``.
        """
        wanted = for_clickhouse(text.strip().rstrip(";"), self.target.table, {})
        read_only = {
            **QUERY_SETTINGS,
            **clickhouse_bounded.OUTPUT_SETTINGS,
            **RESOURCE_LIMITS,
            "max_execution_time": seconds,
            "timeout_overflow_mode": "throw",
            "limit": rows + 1,
            "readonly": 1,  # last, because no setting can be changed after it
        }
        # Without this check any table, dictionary, file or address could be read.
        check(wanted, self._tree(wanted, read_only), self.target.table, self._is_table)
        with self._as_store_error(), self._client_with_timeout(seconds + RESPONSE_GRACE) as client:
            until = clock.monotonic() + seconds + RESPONSE_GRACE
            try:
                stream = client.raw_stream(
                    wanted, settings=read_only, fmt=clickhouse_bounded.FORMAT
                )
                data = clickhouse_bounded.read_bounded(stream, until)
            except Exception:
                if clock.monotonic() < until:
                    raise
                raise StoreError(f"it took longer than {seconds:g} s") from None
            return clickhouse_bounded.parse_answer(data, rows)

    def health(self) -> Health:
        """See ``Source.health``."""
        try:
            events, files, oldest, newest = self.sql(
                "SELECT count(*), count(DISTINCT segment), min(ts), max(ts) FROM events"
            ).rows[0]
            size = self._query(
                "SELECT total_bytes FROM system.tables"
                " WHERE database = currentDatabase() AND name = {name:String}",
                {},
                {"name": self.target.table},
            ).rows[0][0]
        except StoreError as exc:
            return Health(0, 0, 0, 0, None, None, (str(exc),))
        return Health(
            events=int(events),
            files=int(files),
            bytes=int(size or 0),
            torn=0,
            oldest=oldest,
            newest=newest,
            problems=(),
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @contextlib.contextmanager
    def _client_with_timeout(self, seconds: float) -> Iterator[Any]:
        """A client with a timeout; closing it makes the server stop.

        The server checks its own limit only between two steps, and one step may take hours.
        """
        if self.target.parts.scheme == "chdb":
            yield self._client
            return
        client = self.target.connect()
        client.timeout = type(client.timeout)(connect=seconds, read=seconds)
        try:
            yield client
        finally:
            client.close()

    def _is_table(self, name: str) -> bool:
        return bool(int(self._query(f"EXISTS TABLE {name}", {}).rows[0][0]))

    def _tree(self, text: str, settings: Mapping[str, Any]) -> str:
        with self._as_store_error():
            # raw_query, because query() would add a FORMAT, which would then be in the tree.
            tree: bytes = self._client.raw_query(f"EXPLAIN AST {text}", settings=dict(settings))
        return tree.decode("utf-8", "replace")

    def _query(
        self, text: str, settings: Mapping[str, Any], parameters: Mapping[str, Any] | None = None
    ) -> Answer:
        with self._as_store_error():
            found = self._client.query(
                text, parameters=dict(parameters or {}), settings=dict(settings)
            )
        return Answer(tuple(found.column_names), [finite_row(row) for row in found.result_rows])

    @contextlib.contextmanager
    def _as_store_error(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except Exception as exc:
            raise StoreError(f"{self.target.name}: {error_text(exc)}") from exc
