"""Gunicorn in another version than the environment's, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

VERSIONS = ("27", "23")
OLD = "23.0.0"
VARIABLE = "SLOWHOUND_GUNICORN23"


class Unavailable(Exception):
    """It cannot be had here; the text says why."""


def install(requirement: str, folder: Path) -> Path:
    """`requirement` without what it depends on, below `folder`; put there once."""
    # By this name slowhound knows that what lies there is no part of the application.
    target = folder / "site-packages"
    done = folder / "installed"
    if not done.exists():
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        made = subprocess.run(
            [*argv, "--target", str(target), "--upgrade", requirement],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if made.returncode:
            raise Unavailable(f"pip cannot install {requirement}: {made.stderr.strip()[-200:]}")
        done.touch()
    return target


def folder_of(version: str) -> str | None:
    """What has to be first on PYTHONPATH for this version; None: the environment's own."""
    return os.environ[VARIABLE] if version == "23" else None


def script_of(version: str) -> str:
    """The path of its command, which a server needs that replaces itself (USR2)."""
    folder = folder_of(version)
    return os.path.join(folder, "bin") if folder else sysconfig.get_path("scripts")
