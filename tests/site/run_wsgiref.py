"""`python -m tests.site.run_wsgiref`: the site under wsgiref; prints its port on stderr."""

from __future__ import annotations

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from tests.site.wsgi import application


class Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Logs nothing."""


if __name__ == "__main__":
    with make_server("127.0.0.1", 0, application, handler_class=Silent) as server:
        print(f"listening on {server.server_port}", file=sys.stderr, flush=True)
        server.serve_forever()
