"""Gunicorn's own sync worker in this process, with the hooks, but without arbiter and fork."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.handlers.wsgi import WSGIHandler
from gunicorn.config import Config
from gunicorn.workers.sync import SyncWorker

from slowhound.gunicorn import hooks
from slowhound.gunicorn.logger import Logger


@contextmanager
def sync_worker() -> Iterator[SyncWorker]:
    """A worker that serves Django; it is closed at the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = Config()
        config.set("errorlog", os.devnull)
        config.set("pre_request", hooks.pre_request)
        config.set("post_request", hooks.post_request)
        worker = SyncWorker(1, os.getppid(), [listener], None, 30, config, Logger(config))
        worker.wsgi = WSGIHandler()
        try:
            yield worker
        finally:
            for handler in worker.log.error_log.handlers:
                handler.close()
            worker.tmp.close()


def ask(worker: SyncWorker, address: str) -> bytes:
    """The whole response to one request; raises what the worker raises."""
    client, server = socket.socketpair()
    with client:
        client.sendall(f"GET {address} HTTP/1.1\r\nHost: testserver\r\n\r\n".encode())
        client.shutdown(socket.SHUT_WR)  # Gunicorn lingers until the client stops sending
        worker.handle(worker.sockets[0], server, ("127.0.0.1", 40000))
        return client.recv(65536)
