"""Finds the folder (DIR) of an installation, and checks that this user may read it."""

from __future__ import annotations

import argparse
import os
import stat
import sys
from typing import NamedTuple

from slowhound.cli.output import Refusal, print_error
from slowhound.config.default_dir import default_folder, existing
from slowhound.peers.workers import Worker, workers
from slowhound.runtime.app_files import absolute, current_folder

NO_DATA = "No slowhound data here. Pass --dir, or set DJANGO_SETTINGS_MODULE."
CHOOSE_ONE = "Choose one with --dir, or the project with DJANGO_SETTINGS_MODULE."


class Location(NamedTuple):
    """DIR, and the user that owns it, who is the user of the workers."""

    dir: str
    owner: int

    @property
    def boxes(self) -> str:
        """The folder of the boxes."""
        return os.path.join(self.dir, "boxes")

    @property
    def mine(self) -> bool:
        """True when this process runs as that user."""
        return self.owner == os.geteuid()

    def require_mine(self) -> None:
        """For commands that write files which the workers must be able to change.

        Raises:
            Refusal: this process runs as another user.
        """
        if not self.mine:
            raise Refusal(f"run this as {user_name(self.owner)}, the user of the workers")

    def workers(self) -> list[Worker]:
        """Every running process with a box here.

        Raises:
            Refusal: the folder cannot be read.
        """
        try:
            return workers(self.boxes, self.owner)
        except OSError as exc:
            raise Refusal(f"{self.boxes} cannot be read: {exc.strerror}") from exc

    def warn_about(self, found: list[Worker]) -> None:
        """Prints that there are no workers, or which of them give no sign of life."""
        if not found:
            print_error(f"no worker runs here ({self.dir})")
        for each in found:
            if each.late:
                print_error(each.silence())


def find_location(arguments: argparse.Namespace) -> Location:
    """The location that the arguments or the settings name; creates nothing.

    Raises:
        Refusal: it does not exist, or cannot be trusted.
    """
    path = absolute(arguments.dir or configured_dir())
    try:
        found = os.lstat(path)
    except (OSError, ValueError) as exc:
        raise Refusal(f"{path}: {_reason(exc)}. {NO_DATA}") from exc
    if not stat.S_ISDIR(found.st_mode):
        raise Refusal(f"{path} is not a folder; name the folder itself with --dir")
    if found.st_mode & 0o022:
        raise Refusal(f"{path} is writable by other users, so its contents cannot be trusted")
    location = Location(path, found.st_uid)
    if not location.mine and os.geteuid() != 0:
        raise Refusal(f"{path} belongs to {user_name(found.st_uid)}; run this as that user or root")
    return location


def configured_dir() -> str:
    """DIR of the settings that DJANGO_SETTINGS_MODULE names, else the one default folder.

    Raises:
        Refusal: the settings cannot be loaded, or there are several default folders.
    """
    name = os.environ.get("DJANGO_SETTINGS_MODULE")
    if not name:
        found = existing()
        if len(found) > 1:
            projects = f"{len(found)} projects have a folder here: {', '.join(found)}"
            raise Refusal(f"{projects}. {CHOOSE_ONE}", 2)
        return any_default_dir()
    import_project()
    try:
        from slowhound.config.from_django import get_config, project

        path = get_config().dir
        return path if os.path.lexists(path) else _default_dir_of(project(), path)
    except Exception as exc:
        raise Refusal(f"the settings {name} cannot be loaded ({exc!r}); pass --dir") from exc


def any_default_dir() -> str:
    """The first default folder that exists, else the one that a project without DIR would get."""
    return next(iter(existing()), default_folder())


def import_project() -> None:
    """Makes the project in the current folder importable, as manage.py does."""
    sys.path.insert(0, current_folder())


def _default_dir_of(project: str, path: str) -> str:
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


def _reason(exc: Exception) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
