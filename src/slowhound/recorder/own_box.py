"""The black box of this process: what it says of its settings."""

from __future__ import annotations

import platform

from slowhound.blackbox.box import HALF_SETTINGS
from slowhound.config.config import Config
from slowhound.event.formats import json_line


def settings_note(config: Config, server: str) -> bytes:
    """How this process writes events: what others need to write one in its place."""
    note = {
        "format": config.format,
        "stream": config.stream,
        "dir": config.dir if config.store else None,
        "host": config.host,
        "service": config.service,
        "release": config.release,
        "server": server,
        "python": platform.python_version(),
        "deliver": bool(config.sinks),
    }
    watch = {
        "slow_after": config.slow_after,
        "slow_by_name": config.slow_after_by_name,
        "ignore": sorted(config.ignore),
        "reports": config.reports_dir,
        "reports_max": config.reports_max_bytes,
    }
    if config.watch and config.report_files:
        whole = json_line({**note, **watch})[:-1]
        if len(whole) <= HALF_SETTINGS - 16:
            return whole
        # Too many thresholds: then nobody reports in this one's place.
    return json_line(note)[:-1]
