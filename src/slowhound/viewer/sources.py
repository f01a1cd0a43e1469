"""What the viewer looks at: the store, and the folder of this host's boxes and reports."""

from __future__ import annotations

import os
import re
import threading
from typing import NamedTuple

from slowhound.config.config import Config
from slowhound.store.open import open_source
from slowhound.store.source import Source

_sources: dict[tuple[int, str], Source] = {}
_lock = threading.Lock()


class Where(NamedTuple):
    """``spec`` names the store (see ``open_source``), ``dir`` is ``DIR`` on this host."""

    spec: str
    dir: str
    reports: str

    def source(self) -> Source:
        """The store, opened once in each process.

        Raises:
            StoreError: it cannot be opened; the next request tries again.
        """
        key = (os.getpid(), self.spec)
        found = _sources.get(key)
        if found is not None:
            return found
        opened = open_source(self.spec)  # may take long: nobody waits for it under the lock
        with _lock:
            kept = _sources.setdefault(key, opened)
        if kept is not opened:
            opened.close()
        return kept

    @property
    def is_fleet(self) -> bool:
        """True when the store is no folder of this host."""
        return self.spec != self.dir

    @property
    def shown(self) -> str:
        """The store as a page may show it: without user and password, whatever is in them."""
        name, _, options = re.sub(r"(://).*@", r"\1", self.spec).partition("?")
        return name + (f"?{options}" if re.fullmatch(r"table=\w+", options, re.ASCII) else "")

    def owner(self) -> int:
        """The user that ``DIR`` belongs to, whose files are read.

        Raises:
            OSError: it is not there.
        """
        return os.stat(self.dir).st_uid


def of(config: Config) -> Where:
    """Where the settings say."""
    reports = config.reports_dir or os.path.join(config.dir, "reports")
    return Where(config.viewer.get("FROM") or config.dir, config.dir, reports)
