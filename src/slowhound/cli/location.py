"""Where an installation's files are, and whether this user may look at them."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from typing import NamedTuple

from slowhound.config.default_dir import default_folder, existing
from slowhound.event.formats import one_line
from slowhound.peers.workers import Worker, workers
from slowhound.runtime.app_files import absolute, current_folder

HOW_TO_NAME_DIR = "Name one with --dir, or the project with DJANGO_SETTINGS_MODULE."


NO_DATA = "No slowhound data here. Pass --dir, or set DJANGO_SETTINGS_MODULE."


class Refusal(Exception):  # noqa: N818  it is an answer, with an exit code
    """The command cannot do what it was asked; the text says why, on one line."""

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code


class Location(NamedTuple):
    """DIR, and the user that it belongs to: the one that the workers run as."""

    dir: str
    owner: int

    @property
    def boxes(self) -> str:
        """The folder of the boxes."""
        return os.path.join(self.dir, "boxes")

    @property
    def mine(self) -> bool:
        """True when this process is the same user."""
        return self.owner == os.geteuid()

    def workers(self) -> list[Worker]:
        """Every living process with a box here.

        Raises:
            Refusal: the folder cannot be read.
        """
        try:
            return workers(self.boxes, self.owner)
        except OSError as exc:
            raise Refusal(f"{self.boxes} cannot be read: {exc.strerror}") from exc


def print_error(text: str) -> None:
    """One line for the operator, beside what the command prints."""
    print(f"slowhound: {one_line(text)}", file=sys.stderr)  # noqa: T201


def print_out(text: str) -> None:
    """What the command is asked for; each line of it is clean."""
    print(text)  # noqa: T201


def find_location(arguments: argparse.Namespace) -> Location:
    """The place that the arguments name; made by nobody here.

    Raises:
        Refusal: it is not there, or not to be trusted.
    """
    path = absolute(arguments.dir or configured_dir())
    try:
        found = os.lstat(path)
    except (OSError, ValueError) as exc:
        raise Refusal(f"{path}: {_why(exc)}. {NO_DATA}") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise Refusal(f"{path} is not a folder; name the folder itself with --dir")
    if found.st_mode & 0o022:
        raise Refusal(f"{path} is writable by other users, so what is in it cannot be trusted")
    location = Location(path, found.st_uid)
    if not location.mine and os.geteuid() != 0:
        raise Refusal(f"{path} belongs to {user_name(found.st_uid)}; run this as that user or root")
    return location


def configured_dir() -> str:
    """DIR of the settings that DJANGO_SETTINGS_MODULE names, else the one default folder.

    Raises:
        Refusal: the settings cannot be loaded; there are several default folders.
    """
    name = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not name:
        found = existing()
        if len(found) > 1:
            raise Refusal(
                f"{len(found)} projects have a folder here: {', '.join(found)}. {HOW_TO_NAME_DIR}",
                2,
            )
        return found[0] if found else default_folder()
    # Like manage.py: the project in the current folder can be imported.
    sys.path.insert(0, current_folder())
    try:
        from slowhound.config.from_django import get_config, project

        path = get_config().dir
        return path if os.path.lexists(path) else _elsewhere(path, project())
    except Exception as exc:
        raise Refusal(f"the settings {name} cannot be loaded ({exc!r}); --dir names DIR") from exc


def _elsewhere(path: str, project: str) -> str:
    """The project's default folder: another user's, or in its server's RUNTIME_DIRECTORY."""
    by_default = os.path.basename(path).endswith(f"-{project}")
    found = [each for each in existing() if by_default and each.endswith(f"-{project}")]
    return found[0] if len(found) == 1 else path


def user_name(uid: int) -> str:
    """The user's name, or number."""
    import pwd

    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _why(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
