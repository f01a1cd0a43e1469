"""Names the folder that is used when ``DIR`` is not set, and the host; never fails.

The folder is one user's and one project's: ``slowhound-<user id>-<name>-<8 digits>``, under systemd
in ``RUNTIME_DIRECTORY``, else in the system's temporary folder. It is only named here; the process
that writes to it makes it (0700) and checks it, see ``private_dir``.

The digits stand for the settings module and the path of its file (``from_django.project``): two
sites of one user often have modules of the same name. So a release with a folder of its own
(``releases/42`` behind a link) has another default folder, and the ended processes of the last
release are never reaped: such a site has to set ``DIR``. No name is both different for each site
and the same for each release.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import socket
import stat
import tempfile

from slowhound.runtime.app_files import absolute

_CLEAN = re.compile(r"[^A-Za-z0-9_]+")
LABEL_LIMIT = 32


def host_name() -> str:
    """The name of this machine; ``unknown`` where it has none."""
    try:
        name = socket.gethostname()
    except OSError:
        name = ""
    return name.encode("utf-8", "backslashreplace").decode() or "unknown"


def user_id() -> int | str:
    """The user that this process works for."""
    return os.geteuid() if hasattr(os, "geteuid") else "user"


def project_name(label: str, *whose: str) -> str:
    """A name that only this project has: ``label`` is for people, ``whose`` makes it unique."""
    digits = hashlib.sha256("\0".join(whose).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return "-".join(filter(None, (_CLEAN.sub("_", label).strip("_")[:LABEL_LIMIT], digits)))


def default_folder(project: str = "") -> str:
    """The folder of this user and of the project with this name, see ``project_name``."""
    name = "-".join(filter(None, ("slowhound", str(user_id()), project)))
    runtime = _runtime()
    if runtime and _can_write(runtime):
        return os.path.join(runtime, name)
    return os.path.join(temporary_folder(), name)


def temporary_folder() -> str:
    """The system's temporary folder; ``/tmp`` where none can be written to.

    Not by ``tempfile.gettempdir()``: that raises where there is none, writes a file into each
    folder that it tries, falls back to the current one, and keeps its result for the application.
    """
    return next(filter(_can_write, _temporary()), "/tmp")  # noqa: S108  private_dir checks it


def existing() -> list[str]:
    """The default folders of this user that exist; of all users for root, if it has none."""
    user = user_id()
    return _existing(str(user)) or (_existing("*") if user == 0 else [])


def _existing(user: str) -> list[str]:
    # A person has no RUNTIME_DIRECTORY; a unit's is a folder in /run.
    runtime, first = glob.escape(_runtime()), glob.escape(temporary_folder())
    groups = [[runtime], [first, "/run/*"], [glob.escape(each) for each in _temporary()]]
    for group in groups:
        patterns = [os.path.join(place, f"slowhound-{user}*") for place in group if place]
        found = {path for pattern in patterns for path in glob.glob(pattern)}
        mine = sorted(path for path in found if _is_one(path, user))
        if mine:
            return mine
    return []


def _is_one(path: str, user: str) -> bool:
    number = r"\d+" if user == "*" else re.escape(user)
    try:
        state = os.lstat(path)
    except OSError:
        return False
    named = re.fullmatch(rf"slowhound-({number})(-\w+)*", os.path.basename(path))
    theirs = named is not None and named[1] in (str(state.st_uid), "user")
    # A command may have made an empty one, which belongs to no site.
    return theirs and stat.S_ISDIR(state.st_mode) and not state.st_mode & 0o022 and _has_any(path)


def _has_any(path: str) -> bool:
    try:
        return bool(os.listdir(path))
    except OSError:
        return True  # it may not be read; the command that uses it reports that


def _runtime() -> str:
    """systemd's folder for the unit; of several, the first."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]


def _temporary() -> list[str]:
    chosen = tempfile.tempdir  # by the application
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    usual = ["/tmp", "/var/tmp", "/usr/tmp"]  # noqa: S108
    found = [chosen if isinstance(chosen, str) else "", *named, *usual]
    return [absolute(each) for each in dict.fromkeys(found) if each and "\0" not in each]


def _can_write(folder: str) -> bool:
    effective = os.access in os.supports_effective_ids
    try:
        return os.path.isdir(folder) and os.access(
            folder, os.W_OK | os.X_OK, effective_ids=effective
        )
    except (OSError, ValueError):
        return False
