"""Questions over a fleet, by ClickHouse.

The table is a ``ReplacingMergeTree``: what was shipped twice is one row after a merge, and until
then ``final = 1``, a setting of every question, makes it one. Nothing is asked without it.
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
from slowhound.store.answer import Answer, Health, StoreError, plain
from slowhound.store.clickhouse_select_only import check
from slowhound.store.dialect import for_clickhouse
from slowhound.store.source import Source

# Joins, casts, and aggregates of no rows as in DuckDB; a name in WHERE is the column's, no alias.
SETTINGS = {
    "final": 1,
    "join_use_nulls": 1,
    "cast_keep_nullable": 1,
    "aggregate_functions_null_for_empty": 1,
    "prefer_column_name_to_alias": 1,
}
TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# What a person's SQL may take of the server, whose blocks are larger than DuckDB's. A list is one
# step, which hears of no end: to sort one of 100 million numbers took 2 GB, and 80 s in the place
# of four.
BOUNDS = {
    "max_memory_usage": 1024**3,
    "max_threads": 4,
    "function_range_max_elements_in_block": 10_000_000,
}
GRACE = 2.0  # seconds that the engine has to say that it has ended
# What makes two rows one event. The four that identify it, and what keeps events apart that have
# no number of their own (a neighbour's); the time first, for that is what is asked for.
KEY = "(ts, host, pid, segment, ifNull(seq, 0), event_type, ifNull(req_id, ''))"
PORTS = {"clickhouse": 8123, "clickhouses": 8443}


class Target:
    """``clickhouse://user:password@host:port/database?table=events``, taken apart."""

    def __init__(self, spec: str) -> None:
        try:
            parts = urlsplit(spec)
        except ValueError:
            # It would repeat what stands there, the password as well.
            raise StoreError("the address of ClickHouse cannot be read: [ is written %5B") from None
        options = parse_qs(parts.query)
        self.table = options.pop("table", ["events"])[0]
        if not TABLE.fullmatch(self.table) or options:
            raise StoreError("of a ClickHouse only ?table=NAME can be said behind the database")
        self.parts = parts
        try:
            self.port = parts.port or PORTS.get(parts.scheme, 0)
        except ValueError:
            # What stands there may be half of a password: it is not repeated.
            raise StoreError("the port is no number; a / in a password is written %2F") from None
        self.database = parts.path.strip("/") or "default"

    @property
    def name(self) -> str:
        """The same without its password, for people and file names."""
        host = f"{self.parts.hostname}:{self.port}" if self.parts.hostname else ""
        return urlunsplit((self.parts.scheme, host, f"/{self.database}", f"table={self.table}", ""))

    def connect(self) -> Any:
        """A client of the library's.

        Raises:
            StoreError: it is not installed, or nobody answers.
        """
        try:
            import clickhouse_connect
        except ImportError as exc:
            raise StoreError("this needs a library: pip install 'slowhound[clickhouse]'") from exc
        for name in ("clickhouse_connect", "urllib3"):
            # Else their warnings stand between what a command says; who wants them still has them.
            logging.getLogger(name).addHandler(logging.NullHandler())
        parts = self.parts
        try:
            if parts.scheme == "chdb":
                # Versions before 1.6 take the address for a server's, unless they hear of a kind of
                # client that they do not know.
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
                autogenerate_session_id=False,  # several threads ask at once
            )
        except Exception as exc:
            raise StoreError(f"{self.name} does not answer: {said(exc)}") from exc


def said(exc: Exception) -> str:
    """The first line of what ClickHouse or the network said."""
    return str(exc).strip().partition("\n")[0][:500] or type(exc).__name__


class ClickHouse(Source):
    """The events in one table of a ClickHouse, as a ``Source``.

    Args:
        spec: see ``source.open_source``.

    Raises:
        StoreError: the library is not installed, or nobody answers.
    """

    def __init__(self, spec: str) -> None:
        self.target = Target(spec)
        self._client = self.target.connect()
        # In this process (tests) there is one session, and one can ask at a time.
        self._turn: Any = threading.Lock() if spec.startswith("chdb:") else contextlib.nullcontext()

    def sql(self, text: str, parameters: Mapping[str, Any] | None = None) -> Answer:
        """See ``Source.sql``."""
        values = dict(parameters or {})
        wanted = for_clickhouse(text, self.target.table, values)
        return self._query(wanted, SETTINGS, values)

    def adhoc(self, text: str, seconds: float = 10.0, rows: int = 1000) -> Answer:
        """See ``Source.adhoc``.

        The user that is named in the specification should have a right to SELECT from this table
        and to nothing else; what is checked here comes on top of that. The answer is cut as that
        of ``LocalFiles`` is.
        """
        wanted = for_clickhouse(text.strip().rstrip(";"), self.target.table, {})
        read_only = {
            **SETTINGS,
            **clickhouse_bounded.SETTINGS,
            **BOUNDS,
            "max_execution_time": seconds,
            "timeout_overflow_mode": "throw",
            "limit": rows + 1,
            "readonly": 1,  # the last: nothing can be set after it
        }
        # Any table, dictionary, file or address could be read, were it not for this.
        check(wanted, self._tree(wanted, read_only), self.target.table, self._is_table)
        with self._asking(), self._impatient(seconds + GRACE) as client:
            until = clock.monotonic() + seconds + GRACE
            try:
                stream = client.raw_stream(
                    wanted, settings=read_only, fmt=clickhouse_bounded.FORMAT
                )
                data = clickhouse_bounded.received(stream, until)
            except Exception:
                if clock.monotonic() < until:
                    raise
                raise StoreError(f"it took longer than {seconds:g} s") from None
            return clickhouse_bounded.answer(data, rows)

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
    def _impatient(self, seconds: float) -> Iterator[Any]:
        """A client that waits no longer for anything; the engine hears of it when that is closed.

        It looks at its own bound between two steps, and one step may take hours.
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
        with self._asking():
            # The lines as they are: the library would add a FORMAT, which is in the tree then.
            tree: bytes = self._client.raw_query(f"EXPLAIN AST {text}", settings=dict(settings))
        return tree.decode("utf-8", "replace")

    def _query(
        self, text: str, settings: Mapping[str, Any], parameters: Mapping[str, Any] | None = None
    ) -> Answer:
        with self._asking():
            found = self._client.query(
                text, parameters=dict(parameters or {}), settings=dict(settings)
            )
        return Answer(tuple(found.column_names), [plain(row) for row in found.result_rows])

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            with self._turn:
                yield
        except Exception as exc:
            raise StoreError(f"{self.target.name}: {said(exc)}") from exc
