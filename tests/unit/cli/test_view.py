"""``slowhound view``: where it listens, which hosts it accepts, and what it refuses."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from slowhound.cli import main
from slowhound.cli.view import parse_bind
from tests.pages.conftest import viewing
from tests.pages.made import write

EVENT = {"event_type": "request", "req_id": "a", "req_path": "/seen/", "ts": 1e9, "resp_time": 0.1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("view") / "dir"
    write(found, [EVENT])
    return found


@pytest.fixture(scope="module")
def viewer(folder: Path) -> Iterator[str]:
    with viewing(folder) as url:
        yield url


def ask(url: str, path: str, host: str) -> tuple[int, str]:
    """A request with this Host header."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=20)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("given", "host", "port", "loopback"),
    [
        ("127.0.0.1:8321", "127.0.0.1", 8321, True),
        ("127.1.2.3:1", "127.1.2.3", 1, True),
        ("localhost:0", "localhost", 0, True),
        ("[::1]:8321", "::1", 8321, True),
        ("0.0.0.0:8321", "0.0.0.0", 8321, False),
        ("[::]:8321", "::", 8321, False),
        ("shop.example:80", "shop.example", 80, False),
        ("localhost.shop.example:80", "localhost.shop.example", 80, False),
    ],
)
def test_an_address_is_loopback_or_not(given: str, host: str, port: int, loopback: bool) -> None:
    """Of names only localhost is: any other may belong to another machine."""
    found = parse_bind(given)
    assert (found.host, found.port, found.is_loopback) == (host, port, loopback)


@pytest.mark.parametrize("given", ["8321", ":8321", "127.0.0.1", "127.0.0.1:http", "a:99999"])
def test_invalid_address_is_wrong_use(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With an example of the right form."""
    with pytest.raises(SystemExit) as ended:
        main(["view", "--bind", given])
    assert ended.value.code == 2
    assert "HOST:PORT" in capsys.readouterr().err


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0", "shop.example:80"])
def test_it_listens_to_others_only_with_the_option(
    folder: Path, bind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The viewer has no users."""
    assert main(["view", "--dir", str(folder), "--bind", bind]) == 2
    assert "--allow-anyone" in capsys.readouterr().err


def test_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As by every command."""
    assert main(["view", "--dir", str(tmp_path / "none")]) == 1
    assert "No slowhound data here" in capsys.readouterr().err


def test_it_prints_its_address_and_serves_the_pages(viewer: str) -> None:
    """For each name that means this machine only."""
    port = urlsplit(viewer).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"):
        status, text = ask(viewer, "/requests/?since=all", host)
        assert status == 200
        assert "/seen/" in text


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0", ""]
)
def test_another_name_of_this_machine_is_refused(viewer: str, host: str) -> None:
    """A page elsewhere can point its own name to 127.0.0.1 (DNS rebinding)."""
    for path in ("/", "/requests.json?since=all", "/live/", "/flame.svg?name=x"):
        status, text = ask(viewer, path, host)
        assert status == 400
        assert "/seen/" not in text


@pytest.mark.slow
def test_listening_to_all_it_still_checks_the_host(folder: Path) -> None:
    """Addresses and the machine's own name are accepted, other names are not."""
    with viewing(folder, "--allow-anyone") as url:
        assert ask(url, "/views/", "evil.example")[0] == 400
    with listening_to_all(folder) as url:
        for host in ("192.0.2.1", "[2001:db8::1]:80", socket.gethostname()):
            assert ask(url, "/views/", host)[0] == 200
        for host in ("evil.example", "evil.example:80", "192.0.2.1.evil.example"):
            assert ask(url, "/views/", host)[0] == 400


@contextmanager
def listening_to_all(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "slowhound", "view", "--bind", "0.0.0.0:0", "--allow-anyone"]
    process = subprocess.Popen(
        [*command, "--dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().partition("0.0.0.0:")[2].partition("/")[0]
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        _, errors = process.communicate()
    assert "can read everything" in errors


def test_port_in_use_is_reported(folder: Path) -> None:
    """In one line, with exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        command = [sys.executable, "-m", "slowhound", "view", "--dir", str(folder), "--bind", bind]
        done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert "cannot listen on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_of_the_settings_of_a_site_only_dir_is_used(tmp_path: Path, folder: Path) -> None:
    """Not its middleware, hosts and URLs."""
    (tmp_path / "their_settings.py").write_text(
        f"SLOWHOUND = {{'DIR': {str(folder)!r}}}\nALLOWED_HOSTS = ['shop.example']\n"
        "MIDDLEWARE = ['not.there']\nROOT_URLCONF = 'not.there'\n"
    )
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "their_settings"}
    process = subprocess.Popen(
        [sys.executable, "-m", "slowhound", "view", "--bind", "127.0.0.1:0"],
        cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        url = "http" + process.stdout.readline().partition("http")[2].partition(" ")[0]
        status, text = ask(url, "/requests/?since=all", "127.0.0.1")
        assert status == 200
        assert "/seen/" in text
        assert ask(url, "/", "shop.example")[0] == 400
    finally:
        process.terminate()
        process.communicate()
