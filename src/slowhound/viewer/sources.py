"""Where the viewer reads from: the store, and the folder of this host's boxes and reports."""

from __future__ import annotations

import os
import re
import threading
from typing import NamedTuple

from slowhound.config.config import Config
from slowhound.store.open import open_source
from slowhound.store.source import Source

_open_sources: dict[tuple[int, str], Source] = {}
_lock = threading.Lock()


class Sources(NamedTuple):
    """``spec`` names the store (see ``open_source``), ``dir`` is ``DIR`` on this host."""

    spec: str
    dir: str
    reports: str

    def store(self) -> Source:
        """The store, opened once in each process.

        Raises:
            StoreError: it cannot be opened; the next request tries again.
        """
        key = (os.getpid(), self.spec)
        found = _open_sources.get(key)
        if found is not None:
            return found
        opened = open_source(self.spec)  # may take long, so it is opened outside the lock
        with _lock:
            kept = _open_sources.setdefault(key, opened)
        if kept is not opened:
            opened.close()
        return kept

    @property
    def is_fleet(self) -> bool:
        """True when the store is no folder of this host."""
        return self.spec != self.dir

    @property
    def store_name(self) -> str:
        """The store as a page may show it: without user and password, whatever they contain."""
        name, _, options = re.sub(r"(://).*@", r"\1", self.spec).partition("?")
        return name + (f"?{options}" if re.fullmatch(r"table=\w+", options, re.ASCII) else "")

    def owner(self) -> int:
        """The user that owns ``DIR``, whose files are read.

        Raises:
            OSError: it does not exist.
        """
        return os.stat(self.dir).st_uid


def sources_of(config: Config) -> Sources:
    """The sources that the settings name."""
    reports = config.reports_dir or os.path.join(config.dir, "reports")
    return Sources(config.viewer.get("FROM") or config.dir, config.dir, reports)
