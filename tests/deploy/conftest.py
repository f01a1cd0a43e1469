"""Fixtures of the deployment tests: each version of Gunicorn, and workers that run as nobody."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.harness.launch import ROOT, Launcher
from tests.harness.site import Site

Deploy = Callable[..., Site]


@pytest.fixture
def deploy(serve: Launcher, gunicorn: str) -> Deploy:
    """Starts a server in each version of Gunicorn; the arguments are the fields of Setup."""

    def start(**wishes: Any) -> Site:
        return serve(gunicorn=gunicorn, **wishes)

    return start


@pytest.fixture(scope="module")
def deploy_module(serve_module: Launcher, gunicorn: str) -> Deploy:
    """The same for a server that the tests of a module share."""

    def start(**wishes: Any) -> Site:
        return serve_module(gunicorn=gunicorn, **wishes)

    return start


# Lets another user read this interpreter and these sources, where they are in a folder of root's:
# in a new mount namespace, that folder contains nothing else.
SHOW = """\
mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 hidden "$1" || exit 97
shift 2
while [ "$1" != -- ]; do mkdir -p "$2" && mount --bind "$1" "$2" || exit 97; shift 2; done
shift
exec "$@"
"""


def closed_ancestor(path: Path) -> Path | None:
    """The outermost folder above `path` that other users may not enter."""
    above = [each for each in reversed(path.parents) if not each.stat().st_mode & 0o001]
    return above[0] if above else None


def showing(scratch: Path) -> list[str]:
    """A command that runs another one so that every user can read the interpreter."""
    needed = {Path(sys.base_prefix).resolve(), Path(sys.prefix).resolve(), ROOT}
    closed = {each: closed_ancestor(each) for each in needed}
    hidden = {each for each in closed.values() if each is not None}
    if not hidden:
        return []
    if len(hidden) > 1:
        pytest.skip(f"others cannot enter {hidden}")
    top = hidden.pop()
    aside = scratch / "aside"
    aside.mkdir()
    shown: list[str] = []
    for each in sorted(path for path, ancestor in closed.items() if ancestor is not None):
        shown += [str(aside / each.relative_to(top)), str(each)]
    return ["unshare", "-m", "sh", "-c", SHOW, "sh", str(top), str(aside), *shown, "--"]


def open_folder() -> Path:
    """A new folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="sh-nobody-"))
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="session")
def nobody() -> pwd.struct_passwd:
    """The user `nobody`; skips the test where that user cannot run this interpreter."""
    if os.getuid() != 0:
        pytest.skip("an arbiter of root's needs root")
    found = pwd.getpwnam("nobody")
    folder = open_folder()
    check = "import django.core.handlers.wsgi, slowhound.gunicorn.worker, os; os.listdir('.')"
    become = f"import os; os.setgid({found.pw_gid}); os.setuid({found.pw_uid}); "

    def tried(code: str, wrapper: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*wrapper, sys.executable, "-c", code],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    try:
        if (root := tried(check)).returncode:
            pytest.fail(f"root cannot import it: {root.stderr[-500:]}")
        refused = tried(become + check, showing(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if refused.returncode:
        pytest.skip(f"nobody cannot run this interpreter: {refused.stderr[-200:]}")
    return found


@pytest.fixture
def unprivileged(nobody: pwd.struct_passwd, template: Path, gunicorn: str) -> Iterator[Deploy]:
    """Starts a server whose arbiter is root and whose workers are nobody."""
    folder = open_folder()
    wrapper = showing(folder)
    launcher = Launcher(folder, template)
    launcher.home_mode = 0o777

    def start(**wishes: Any) -> Site:
        conf = f'user = "nobody"\ngroup = {nobody.pw_gid!r}\n' + wishes.pop("conf", "")
        return launcher(gunicorn=gunicorn, wrapper=wrapper, conf=conf, **wishes)

    start.folder = folder  # type: ignore[attr-defined]
    yield start
    launcher.cleanup()
    shutil.rmtree(folder, ignore_errors=True)
