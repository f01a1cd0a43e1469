"""Checks DIR: whether this user can write to it, and whether black boxes and locks work in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

from slowhound.blackbox.box import Box
from slowhound.cli.diagnostics import Diagnostic
from slowhound.cli.location import any_default_dir
from slowhound.config.default_dir import default_folder, existing
from slowhound.system.file_locks import is_locked
from slowhound.system.private_dir import prepare

LEAST_FREE = 64 * 1024**2  # bytes


def configured() -> Iterator[Diagnostic]:
    """DIR of the settings, or the default folder."""
    directory = _configured_dir()
    yield from default_folders(directory)
    yield from folder(directory)


def _configured_dir() -> str:
    from django.conf import settings as django_settings

    if not django_settings.configured:
        return any_default_dir()
    from slowhound.config.from_django import get_config

    return get_config().dir


def default_folders(directory: str) -> Iterator[Diagnostic]:
    """Where files go without DIR, and the default folders of other projects."""
    project = default_folder().rpartition(os.sep)[2]
    if not os.path.basename(directory).startswith(project):
        return
    text = f"is not set: {directory} is temporary, and only for this user and this project"
    advice = "Set DIR to a folder that is kept, such as /var/lib/shop/slowhound."
    yield Diagnostic("note", "DIR", text, advice)
    others = [each for each in existing() if each != directory]
    if others:
        advice = "Commands find the right one with DJANGO_SETTINGS_MODULE, or --dir."
        yield Diagnostic("note", "DIR", f"other projects use {', '.join(others)}", advice)


def folder(path: str) -> Iterator[Diagnostic]:
    """Can this user write to DIR, does it have room, do its locks work?"""
    before = {each for each in _folders(path) if os.path.lexists(each)}
    try:
        yield from _prepared(path)
    finally:
        # The check leaves nothing behind: a folder that this user makes may not be the workers'.
        for each in _folders(path):
            if each not in before:
                with suppress(OSError):  # another process has written into it
                    os.rmdir(each)


def _prepared(path: str) -> Iterator[Diagnostic]:
    try:
        prepare(path)
    except OSError as exc:
        advice = "Run this as the user of the server's workers, or set another DIR."
        yield Diagnostic("problem", "DIR", str(exc), advice)
        return
    try:
        box = Box(path, 1)
        box.close()
    except OSError as exc:
        yield Diagnostic("problem", "DIR", f"no black box can be made in {path}: {exc}")
    else:
        yield Diagnostic("ok", "DIR", f"{path} can be written to, and black boxes work in it")
    if not _has_locks(path):
        text = "its file system has no locks (flock); lock files are used instead"
        advice = "Deaths in other containers that share it are not recorded."
        yield Diagnostic("note", "DIR", text, advice)
    free = shutil.disk_usage(path).free
    if free < LEAST_FREE:
        yield Diagnostic("note", "DIR", f"only {free // 1024**2} MiB are free on its disk")


def _has_locks(path: str) -> bool:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return is_locked(fd) is not None
    finally:
        os.close(fd)


def _folders(path: str) -> tuple[str, str]:
    return os.path.join(path, "boxes"), path
