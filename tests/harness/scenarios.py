"""What ``missing_names.without`` runs with libraries that lack a name (other than Django's)."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from slowhound.runtime.library_names import find_imported
from tests.harness.hidden_names import hide

# The last part of the hidden name, which a stub must lack, too.
hidden: list[str] = []


def gunicorns_requests() -> None:
    """The middleware records the request where Gunicorn's own has changed."""
    from slowhound.config.from_django import get_config
    from slowhound.core.in_flight import in_flight
    from slowhound.gunicorn.hooks import post_request, pre_request
    from slowhound.recorder import process

    process.start(get_config())
    whole = {"method": "GET", "path": "/", "headers": []}
    parts = {name: value for name, value in whole.items() if name not in hidden}
    for _ in range(2):
        request = SimpleNamespace(**parts)
        pre_request(None, request)
        post_request(None, request, {}, None)
    assert not in_flight
    process.stop()


def aborted() -> None:
    """A SIGABRT of unknown origin counts as the arbiter's."""
    from slowhound.gunicorn.aborts import is_timeout

    cfg = SimpleNamespace(timeout=30)
    whole: dict[str, Any] = {"last_update": time.monotonic}
    tmp = SimpleNamespace(**{name: part for name, part in whole.items() if name not in hidden})
    parts = {"tmp": tmp} if "tmp" not in hidden else {}
    assert is_timeout(SimpleNamespace(cfg=cfg, **parts))
    assert not is_timeout(SimpleNamespace(cfg=cfg, tmp=SimpleNamespace(**whole)))


def ends_of_workers() -> None:
    """A worker that did not start is reaped all the same."""
    from slowhound.gunicorn import arbiter
    from slowhound.gunicorn.hooks import on_exit

    worker = SimpleNamespace(cfg=SimpleNamespace(user=0))
    arbiter.give_mailbox(worker)
    worker.slowhound_mailbox.put_path("/nowhere")

    def halt() -> None:
        on_exit(SimpleNamespace(WORKERS={}))

    halt()


def unknown_workers() -> None:
    """An arbiter without a list of its workers does no harm."""
    from slowhound.gunicorn import arbiter, silent_workers
    from slowhound.gunicorn.hooks import on_exit

    server = SimpleNamespace()
    silent_workers.check(server)
    arbiter.on_signal(server, 1, signal.SIGTERM)
    on_exit(server)


def unknown_arbiter() -> None:
    """A process that has Gunicorn's arbiter, whose workers are started by another method."""
    import gunicorn.arbiter  # noqa: F401

    from slowhound.recorder.process_kind import loads_for_others

    assert not loads_for_others()


def never_booted() -> None:
    """The server halts, whatever exception the arbiter raises for that."""
    from gunicorn.errors import HaltServer

    from slowhound.gunicorn.hooks import HALT, on_exit

    assert issubclass(HaltServer, HALT) or (Exception,) == HALT
    on_exit(SimpleNamespace(WORKERS={}))


def metrics() -> None:
    """The logger works without the metrics."""
    from gunicorn.config import Config

    from slowhound.config.from_django import get_config
    from slowhound.gunicorn.logger import Logger
    from slowhound.recorder import process

    if (
        hidden == ["histogram"]
        and find_imported("gunicorn.instrument.statsd.Statsd.timer") is not None
    ):
        hide("gunicorn.instrument.statsd.Statsd.timer")
    process.start(get_config())
    config = Config()
    config.set("statsd_host", "127.0.0.1:9")
    log = Logger(config)
    for _ in range(2):
        log.access(SimpleNamespace(status="200 OK"), None, {}, timedelta(0))
    process.stop()


def access_log() -> None:
    """Lines go where the access log goes."""
    from gunicorn.config import Config

    from slowhound.gunicorn.logger import Logger, access_log_on

    assert access_log_on(Logger(Config()))


def killed() -> None:
    """A greenlet that is killed ends its request."""
    import greenlet

    from slowhound.runtime.unpatched import is_greenlet_exit

    assert not is_greenlet_exit(greenlet.GreenletExit())


def hub() -> None:
    """A greenlet's request is recorded; gevent's loop is in C, so a stub lacks the name."""
    from slowhound.core.record import Record
    from slowhound.watch.event_loops import Loops

    gevent = SimpleNamespace(get_hub=lambda: SimpleNamespace(loop=SimpleNamespace()))
    sys.modules["gevent"] = gevent  # type: ignore[assignment]
    loops = Loops(1.0, print)
    for _ in range(2):
        loops.see_hub(Record("GET", "/", time.monotonic()))
    loops.check([], time.monotonic())


def sent() -> None:
    """Requests are sent all the same."""
    import httpx
    import urllib3

    from slowhound.instrument import http
    from tests.harness.echo import echo_server

    http.install()
    with echo_server() as base:
        assert urllib3.request("GET", base).status == 200
        assert httpx.get(base).status_code == 200
        assert asyncio.run(_async_httpx(base)) == 200


async def _async_httpx(base: str) -> int:
    import httpx

    async with httpx.AsyncClient() as client:
        return (await client.get(base)).status_code


def sentry() -> None:
    """A report arrives."""
    import sentry_sdk

    from slowhound.sinks.sentry import Sentry
    from tests.harness.sentry_server import sentry_server

    with sentry_server() as project:
        sentry_sdk.init(project.dsn, default_integrations=False)
        sink = Sentry()
        sink.deliver(_report())
        sink.follow_up(_report(finished=True))
        sentry_sdk.flush(10)
        sink.close()
        assert project.events


def otel() -> None:
    """Events are taken, and what can be sent is sent."""
    from slowhound.sinks import otel, otel_sender
    from tests.harness.otlp import http_receiver

    otel_sender.SEND_EVERY = 0.02
    with http_receiver() as received:
        sink = otel.OpenTelemetry(endpoint=received.endpoint)
        sink.take_event({**_report().event, "pid": 0, "ts": time.time()})
        sink.deliver(_report())
        sink.close()
        assert received.logs or received.points


def otel_grpc() -> None:
    """The same over gRPC."""
    from slowhound.sinks import otel, otel_sender
    from tests.harness.otlp import grpc_receiver

    otel_sender.SEND_EVERY = 0.02
    with grpc_receiver() as received:
        sink = otel.OpenTelemetry(endpoint=received.endpoint, protocol="grpc")
        sink.take_event({**_report().event, "pid": 0, "ts": time.time()})
        sink.deliver(_report())
        sink.close()
        assert received.logs or received.points


def _report(*, finished: bool = False) -> Any:
    from slowhound.core.report import Finished, Report

    event = {"event_type": "slow", "req_id": "id", "req_method": "GET", "resp_time": 1.0}
    return Report(
        event=event,
        request_line="GET /",
        started=1.0,
        intercepted=2.0,
        host="web",
        thread_id=1,
        snapshot=None,
        finished=Finished(1.5, 200, "ok", "It was slow.") if finished else None,
    )
