"""What tests start beside the packages of the environment: Gunicorn in another version, and others.

``scripts/install.sh apart`` (``make test`` runs it) puts each into a folder of its own.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

VERSIONS = ("27", "23")


def apart(name: str) -> Path:
    """The folder of a lock file in requirements/apart/, to be put on PYTHONPATH."""
    folder = Path(sys.prefix, "apart", name, "site-packages")
    if not folder.is_dir():
        pytest.skip(f"{name} is not in this environment: scripts/install.sh apart")
    return folder


def folder_of(version: str) -> str | None:
    """What has to be first on PYTHONPATH for this version; None: the environment's own."""
    return str(apart("gunicorn-23")) if version == "23" else None


def script_of(version: str) -> str:
    """The path of its command, which a server needs that replaces itself (USR2)."""
    folder = folder_of(version)
    return os.path.join(folder, "bin") if folder else sysconfig.get_path("scripts")
