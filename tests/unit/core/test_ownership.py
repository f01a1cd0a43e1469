"""Whose a record is: requests of all servers, in turns, in contexts that are new, copied or reused.

Each request is a coroutine that stops often, and is woken in an order that hypothesis chooses. It
may call the application again and keep its response, run tasks, be wrapped twice, run its view
again, fail, be cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import types
from collections.abc import Coroutine, Generator
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import slowhound
from slowhound import Context
from slowhound.asgi import wrap
from slowhound.config.from_django import get_config
from slowhound.core.in_flight import in_flight
from slowhound.gunicorn import hooks
from slowhound.middleware import RequestRecorder
from slowhound.recorder import process
from slowhound.system import guard
from slowhound.testing import capture_events

# Responses that nobody closes.
kept: list[Any] = []
# What begins a request, and what is around its view.
SERVERS = ("wrap", "hook", "hook and wrap", "middleware", "wrap, websocket")
INSIDE = (
    *("nothing", "self-call", "task", "failing task", "wrapped again", "runs again", "twice"),
    *("kept inner response", "kept inner stream"),
)
ENDS = ("answers", "raises", "works on")


@types.coroutine
def pause() -> Generator[None]:
    """Others have their turn."""
    yield


class GunicornRequest:
    """What the hooks read of Gunicorn's."""

    method = "GET"
    headers: tuple[tuple[str, str], ...] = ()

    def __init__(self, path: str) -> None:
        self.path = path


class Failed(Exception):
    """Of a view."""


class Request:
    """One request: how it is served and what its view does."""

    def __init__(self, name: str, server: str, inside: str, end: str, *, django: bool) -> None:
        self.name = name
        self.server = server
        self.inside = inside
        self.end = end
        self.is_socket = "websocket" in server
        self.django = (django or server == "middleware") and not self.is_socket
        self.complete = False

    @property
    def path(self) -> str:
        return f"/{self.name}/"

    async def serve(self) -> None:
        """As its server does."""
        scope = {"type": "http", "method": "GET", "path": self.path, "query_string": b""}
        scope |= {"headers": [], "raw_path": self.path.encode()}
        if self.is_socket:
            del scope["method"]
            scope["type"] = "websocket"
        application = self.application
        if self.inside == "wrapped again":
            application = wrap(application)
        if "wrap" in self.server:
            application = wrap(application)
        req = GunicornRequest(self.path) if "hook" in self.server else None
        try:
            if req is not None:
                hooks.pre_request(None, req)
            await application(scope, self.receive, self.send)
        except Failed:
            pass
        finally:
            if req is not None:
                hooks.post_request(None, req, None, None)

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        await pause()
        if message["type"] in ("http.response.body", "websocket.close"):
            self.complete = True

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI's, with or without Django."""
        if self.is_socket:
            await send({"type": "websocket.accept"})
            await self.view()
            await send({"type": "websocket.close"})
            return
        status = 200
        if self.django:
            status = await self.through_django(ASGIRequest(dict(scope), io.BytesIO()))
        else:
            await self.view()
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": self.name.encode()})
        if self.end == "works on":
            await pause()

    async def through_django(self, request: HttpRequest) -> int:
        recorder = RequestRecorder(get_config())

        async def view(request: HttpRequest) -> HttpResponse:
            await self.view()
            return HttpResponse(self.name)

        async def again(request: HttpRequest) -> HttpResponse:
            return await recorder.call_async(request, view)

        response = await recorder.call_async(request, again if self.inside == "twice" else view)
        if self.inside == "runs again":
            response = await recorder.call_async(request, view)
        await pause()
        response.close()
        return response.status_code

    async def view(self) -> None:
        """Says whose it is, and is still so after whatever it has others do."""
        Context.set("mine", self.name)
        await pause()
        if self.inside == "self-call":
            await inner_request(f"{self.name}-inner")
        elif self.inside.startswith("kept"):
            kept.append(await kept_inner(f"{self.name}-inner", streams="stream" in self.inside))
        elif self.inside in ("task", "failing task"):
            with contextlib.suppress(Failed):
                await background(f"{self.name}-task", fails=self.inside == "failing task")
        await pause()
        assert Context.get("mine") == self.name
        Context.set("last", self.name)
        if self.end == "raises":
            raise Failed


async def inner_request(name: str) -> None:
    """The application, called in process."""
    await Request(name, "wrap", "nothing", "answers", django=True).serve()


async def kept_inner(name: str, *, streams: bool) -> Any:
    """Django's handler, called in process; nobody closes the response."""

    async def view(request: HttpRequest) -> Any:
        Context.set("mine", name)
        await pause()
        Context.set("last", name)
        return StreamingHttpResponse([b"inner"]) if streams else HttpResponse("inner")

    scope = {"type": "http", "method": "GET", "path": f"/{name}/", "query_string": b""}
    request = ASGIRequest({**scope, "headers": []}, io.BytesIO())
    return await RequestRecorder(get_config()).call_async(request, view)


async def background(name: str, *, fails: bool) -> None:
    @slowhound.task(name=name)
    async def work() -> None:
        Context.set("mine", name)
        await pause()
        Context.set("last", name)
        if fails:
            raise Failed

    await work()


class Running:
    """One that has begun, in its context."""

    def __init__(self, request: Request, variables: Variables) -> None:
        self.request = request
        self.variables = variables
        self.coroutine: Coroutine[Any, Any, None] = request.serve()


class Interleaved(RuleBasedStateMachine):
    """Requests in one thread."""

    def __init__(self) -> None:
        super().__init__()
        guard.reset()
        in_flight.clear()
        kept.clear()
        self.stack = contextlib.ExitStack()
        self.events = self.stack.enter_context(capture_events())
        assert process.start(get_config()) is not None
        self.running: list[Running] = []
        self.expected: list[str] = []
        self.count = 0

    @rule(
        server=st.sampled_from(SERVERS),
        inside=st.sampled_from(INSIDE),
        end=st.sampled_from(ENDS),
        django=st.booleans(),
        reuses=st.booleans(),
    )
    def begin(self, server: str, inside: str, end: str, django: bool, reuses: bool) -> None:
        """In a context of its own, or, as uvicorn does, in a copy of that of the one before."""
        self.count += 1
        request = Request(f"r{self.count}", server, inside, end, django=django)
        before = [each for each in self.running if each.request.complete]
        variables = before[-1].variables.run(copy_context) if reuses and before else Variables()
        one = Running(request, variables)
        self.running.append(one)
        self.expect(request)
        self.wake(one)

    def expect(self, request: Request) -> None:
        if request.server != "middleware" or request.django:
            self.expected.append(request.name)
        if request.inside == "self-call" or request.inside.startswith("kept"):
            self.expected.append(f"{request.name}-inner")
        if request.inside in ("task", "failing task"):
            self.expected.append(f"{request.name}-task")

    def wake(self, one: Running, exc: BaseException | None = None) -> None:
        try:
            if exc is None:
                one.variables.run(one.coroutine.send, None)
            else:
                one.variables.run(one.coroutine.throw, exc)
        except (StopIteration, asyncio.CancelledError):
            self.running.remove(one)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def go_on(self, which: int) -> None:
        """One of them has its turn."""
        self.wake(self.running[which % len(self.running)])

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def cancel(self, which: int) -> None:
        """One of them is cancelled; what it has not begun is not expected."""
        one = self.running[which % len(self.running)]
        begun = {each.path.strip("/") for each in in_flight.values()} | set(self.named())
        self.wake(one, asyncio.CancelledError())
        name = one.request.name
        self.expected = [
            each for each in self.expected if not each.startswith(f"{name}-") or each in begun
        ]

    def named(self) -> list[str]:
        """The requests and tasks that have an event."""
        return [(event.get("task_name") or event["req_path"]).strip("/") for event in self.events]

    @invariant()
    def none_has_two(self) -> None:
        """At any time."""
        named = self.named()
        assert len(named) == len(set(named))

    def teardown(self) -> None:
        """All go on to their end: each has had one event, with what is its own."""
        while self.running:
            for one in list(self.running):
                self.wake(one)
        try:
            assert sorted(self.named()) == sorted(self.expected)
            for name, event in zip(self.named(), self.events, strict=True):
                assert event.get("app_mine", name) == name
                assert event.get("app_last", name) == name
            assert not in_flight
            assert guard.total == 0
        finally:
            self.stack.close()
            process.stop()


@pytest.mark.slow
def test_interleaved_requests(configure: Any) -> None:
    """Each has one event with its own numbers, and nothing is left in flight."""
    configure()
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Interleaved, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )
