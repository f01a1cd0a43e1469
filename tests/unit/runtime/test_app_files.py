"""Which files are the application's, and how they are named."""

from __future__ import annotations

import importlib
import json
import os
import sys
import sysconfig
from pathlib import Path

import django
import pytest

from slowhound.frames import frames
from slowhound.runtime import app_files
from slowhound.runtime.app_files import is_app, short_path

APP = "/srv/shop/views.py"
LIBRARY = os.path.join(sysconfig.get_path("purelib"), "lib", "x.py")


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        (APP, True),
        (os.path.join(sys.prefix, "app", "views.py"), True),
        (os.path.join(sys.prefix, "views.py"), True),
        (LIBRARY, False),
        (json.__file__, False),
        ("<frozen importlib._bootstrap>", False),
        ("<string>", False),
        (frames.__file__, False),
    ],
)
def test_application_is_what_is_not_installed(filename: str, expected: bool) -> None:
    """An app below the interpreter's prefix is an app; packages and slowhound itself are not."""
    assert is_app(filename) is expected


def test_path_with_dots_or_a_link_in_it_is_as_good_as_another(tmp_path: Path) -> None:
    """A server may be started by ``./``, ``//`` or a symbolic link: it is no application."""
    scripts, library = sysconfig.get_path("scripts"), os.path.dirname(json.__file__)
    ways = []
    for folder, file in ((scripts, "pytest"), (library, "decoder.py")):
        link = tmp_path / f"link-to-{file}"
        link.symlink_to(os.path.join(folder, file))
        other = tmp_path / f"folder-of-{file}"
        other.symlink_to(folder)
        parent, name = os.path.split(folder)
        ways += [
            str(link),
            str(other / file),
            f"/{folder}/{file}",
            f"{folder}/./{file}",
            f"{folder}//{file}",
            f"{parent}/./{name}//{file}",
            f"{folder}/../{name}/{file}",
        ]
    assert [way for way in ways if is_app(way)] == []
    app = tmp_path / "shop"
    app.mkdir()
    (app / "views.py").touch()
    (tmp_path / "current").symlink_to(app)
    assert is_app(str(tmp_path / "current" / "views.py"))
    assert is_app(f"{tmp_path}/./shop//views.py")


@pytest.mark.parametrize("name", ["a\0b.py", "caf\udce9.py", "\ud800", "", "/" * 5000, "x" * 5000])
def test_any_text_may_be_the_name_of_a_file(name: str) -> None:
    """A name that can be no file's counts as the application's, as that of no file does."""
    assert is_app(name)
    assert type(short_path(name)) is str


def test_file_is_classified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is needed for each frame of each stack."""
    asked: list[str] = []
    realpath = os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path: asked.append(path) or realpath(path))
    for _ in range(3):
        is_app("/srv/shop/asked_once.py")
    assert asked == ["/srv/shop/asked_once.py"]


def test_installed_application_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that is pip-installed is the application all the same."""
    import urllib

    assert not is_app(urllib.__path__[0] + "/parse.py")
    monkeypatch.setattr(app_files, "_app_packages", set())
    app_files.add_app_package("urllib.request")
    try:
        assert is_app(urllib.__path__[0] + "/parse.py")
        app_files.add_app_package("slowhound.viewer.standalone")  # as the viewer's own site does
        assert not is_app(app_files.__file__)
    finally:
        is_app.cache_clear()


@pytest.mark.parametrize(
    ("urls", "yes", "no"),
    [
        ("acme13.shop.urls", ["acme13/shop/urls.py", "acme13/shop/logic.py"], ["acme13/a.py"]),
        ("acme13.site", ["acme13/site.py", "acme13/shop/logic.py"], ["other/a.py"]),
        ("acme13_alone", ["acme13_alone.py"], ["other.py", "acme13/shop/logic.py"]),
    ],
)
def test_installed_application_needs_no_package_and_no_import_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, urls: str, yes: list[str], no: list[str]
) -> None:
    """One in a namespace, or of one module; its settings are read before it is imported."""
    packages = tmp_path / "site-packages"
    (packages / "acme13" / "shop").mkdir(parents=True)
    names = ["shop/__init__.py", "shop/urls.py", "site.py", "../acme13_alone.py"]
    for name in names:
        (packages / "acme13" / name).touch()
    monkeypatch.setattr(app_files, "_app_packages", set())
    monkeypatch.setattr(app_files, "_awaited", set())
    monkeypatch.syspath_prepend(str(packages))
    before = set(sys.modules)
    try:
        app_files.add_app_package(urls)
        assert not is_app(str(packages / yes[0]))
        importlib.import_module(urls)
        assert not is_app(str(packages / no[0]))  # one that was not asked for: now it is found
        assert [name for name in yes if not is_app(str(packages / name))] == []
    finally:
        is_app.cache_clear()
        for name in set(sys.modules) - before:
            del sys.modules[name]


RECORDS = {
    "lib-1": "lib/__init__.py lib/deep/a.py one.py ../../bin/run lib-1.dist-info/RECORD /abs/a",
    "part-1": "shared/part/__init__.py shared/part/a.py shared/flat.py",
    "shop-1": "shop/__init__.py shop/urls.py shop_more/__init__.py",
}
LIBRARIES = (
    "lib/__init__.py lib/deep/a.py lib/deep/new.py one.py bin/run shared/part/a.py shared/flat.py"
)
YOURS = "shop/urls.py shop_more/a.py views.py shared/own/a.py library/a.py bin/manage.py tests/a.py"


def test_what_pip_has_put_into_a_target_is_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the application, whose own list of files makes it no library."""
    for name, files in RECORDS.items():
        info = tmp_path / f"{name}.dist-info"
        info.mkdir()
        (info / "RECORD").write_text("".join(f"{each},sha256=x,1\n" for each in files.split()))
    (tmp_path / "metadata_only.dist-info").mkdir()
    (tmp_path / "tests.egg-info").mkdir()
    monkeypatch.setattr(app_files, "_named", {"shop.urls"})
    monkeypatch.syspath_prepend(str(tmp_path))
    link = tmp_path.with_name("link")
    link.symlink_to(tmp_path)
    try:
        app_files.know_libraries()
        seen = {
            f"{way}/{name}": is_app(f"{way}/{name}")
            for way in (tmp_path, link)
            for name in f"{LIBRARIES} {YOURS}".split()
        }
    finally:
        monkeypatch.undo()
        app_files.know_libraries()
    assert [name for name, ours in seen.items() if ours] == [
        f"{way}/{name}" for way in (tmp_path, link) for name in YOURS.split()
    ]


def test_django_is_no_application_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout of it."""
    monkeypatch.setattr(django, "__file__", str(tmp_path / "django" / "__init__.py"))
    try:
        app_files.know_libraries()
        assert not is_app(str(tmp_path / "django" / "core" / "handlers" / "base.py"))
    finally:
        monkeypatch.undo()
        app_files.know_libraries()


def test_path_is_shortened_by_the_longest_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """``/srv/shop`` wins over ``/srv``, and ``/srv/shopping`` is not below ``/srv/shop``."""
    monkeypatch.setattr(sys, "path", ["/srv", "/srv/shop/"])
    short_path.cache_clear()
    assert short_path("/srv/shop/views.py") == "views.py"
    assert short_path("/srv/shopping/views.py") == "shopping/views.py"
    assert short_path("/opt/views.py") == "/opt/views.py"
    short_path.cache_clear()
