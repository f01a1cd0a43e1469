"""Writes the report files, ``DIR/reports/slow_request_*.log``, and limits their size.

One for each slow request, 0600, written by the hound. Names are made of time, pid and a number,
never of the request.
"""

from __future__ import annotations

import os
import re

from slowhound.config.config import Config
from slowhound.runtime.clocks import utc_stamp
from slowhound.system.files import NotOwnFileError, create, open_own, write_all
from slowhound.system.losses import lost
from slowhound.system.private_dir import Cap, subfolder

REPORT_NAMES = re.compile(r"slow_request_\d{8}T\d{6}Z_\d+_\d+_[0-9a-f]{8}\.log")


class ReportFiles:
    """Writes and caps the report files.

    Args:
        directory: ``DIR``; reports go into a checked folder of their own below it.
        max_bytes: what all of them together may take.
        folder: a folder that the settings name for reports; used as it is.
    """

    def __init__(self, directory: str, max_bytes: int, folder: str | None = None) -> None:
        self.directory = directory
        self.folder = folder
        self._cap = Cap("reports", max_bytes, REPORT_NAMES)

    def name(self, number: int, pid: int | None = None) -> str:
        """A new file name for the ``number``-th request of this process, or of ``pid``."""
        stamp = utc_stamp()
        # Random at its end: in a shared folder nobody can make the file beforehand.
        return f"slow_request_{stamp}_{pid or os.getpid()}_{number}_{os.urandom(4).hex()}.log"

    def create(self, name: str, text: str) -> bool:
        """Writes a new report; False, and counted, when that fails."""
        try:
            folder = self.folder or subfolder(self.directory, "reports")
            path = os.path.join(folder, name)
            _fill(create(path), text)
        except OSError as exc:
            lost("reports", exc)
            return False
        self._cap.keep(folder, path)
        return True

    def append(self, name: str, text: str) -> None:
        """Adds to a report, unless it was removed meanwhile because all of them were too large."""
        try:
            folder = self.folder or os.path.join(self.directory, "reports")
            _fill(open_own(os.path.join(folder, name), os.O_WRONLY | os.O_APPEND), text)
        except (FileNotFoundError, NotOwnFileError):
            pass  # the latter: another user's file has taken its place
        except OSError as exc:
            lost("reports", exc)


def _fill(fd: int, text: str) -> None:
    try:
        write_all(fd, text.encode("utf-8", "backslashreplace"))
    finally:
        os.close(fd)


class NoFiles:
    """Stands in for report files when the settings want none."""

    def name(self, number: int) -> str:
        """Never shown: nothing is created."""
        return ""

    def create(self, name: str, text: str) -> bool:
        """Writes nothing."""
        return False

    def append(self, name: str, text: str) -> None:
        """Nothing to add to."""


def report_files_of(config: Config) -> ReportFiles | NoFiles:
    """Where the settings want reports to be written."""
    if not config.report_files:
        return NoFiles()
    return ReportFiles(config.dir, config.reports_max_bytes, config.reports_dir)
