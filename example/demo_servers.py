"""The servers of the demo: the shop under Gunicorn, the service it calls, and the viewer."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Courier(http.server.BaseHTTPRequestHandler):
    """The other service that /outbound/ calls."""

    def do_GET(self) -> None:
        """Answers anything."""
        body = b"two days, three if it is about a cat"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Logs nothing: the shop's own lines are what matters here."""


@contextmanager
def courier() -> Iterator[str]:
    """Runs the courier; gives its URL."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Courier)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def gunicorn(folder: Path, courier_url: str) -> Iterator[subprocess.Popen[str]]:
    """Runs the shop; Gunicorn's log and the canonical lines both come out of its stdout."""
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "shop.settings",
        "PYTHONUNBUFFERED": "1",
        "SHOP_BIND": "127.0.0.1:0",  # a free port; Gunicorn prints it
        "SHOP_COURIER_URL": courier_url,
        "SHOP_DB": str(folder / "shop.sqlite3"),
        "SLOWHOUND_DIR": str(folder / "slowhound"),
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=HERE, env=environ, check=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn"],
        cwd=HERE,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # Ctrl-C is for the demo, which then stops Gunicorn.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def viewer(directory: Path) -> Iterator[str]:
    """Runs ``slowhound view`` over what was recorded; gives its URL."""
    bind = ["--bind", "127.0.0.1:0", "--dir", str(directory)]
    process = subprocess.Popen(
        [sys.executable, "-m", "slowhound", "view", *bind],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        listening = re.search(r"http://\S+/", line)
        yield listening[0] if listening else ""
        if not listening:
            print(line, process.stdout.read())
    finally:
        process.terminate()
        process.communicate()
