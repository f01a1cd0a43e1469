"""Finds packages that are installed apart from the environment: another Gunicorn, and others.

``scripts/install.sh apart`` (``make test`` runs it) puts each into its own folder.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

VERSIONS = ("27", "23")


def apart(name: str) -> Path:
    """The folder of a lock file in requirements/apart/, for PYTHONPATH."""
    folder = Path(sys.prefix, "apart", name, "site-packages")
    if not folder.is_dir():
        pytest.skip(f"{name} is not in this environment: scripts/install.sh apart")
    return folder


def folder_of(version: str) -> str | None:
    """The folder that must be first on PYTHONPATH; None for the environment's own version."""
    return str(apart("gunicorn-23")) if version == "23" else None


def script_of(version: str) -> str:
    """The folder of its command, which a server needs that replaces itself (USR2)."""
    folder = folder_of(version)
    return os.path.join(folder, "bin") if folder else sysconfig.get_path("scripts")
