"""One request that is profiled because its client asked for a flame graph.

The response stays as it is, and gets headers that show where its time went and what the graph is
called; with ``?flames=svg`` the graph is sent in its place. A thread draws and writes the files
after the response, and ends with that. Each worker profiles one request at a time: a client that is
allowed to ask gets the header ``busy`` meanwhile, and a client that is not gets its response
untouched.
"""

from __future__ import annotations

import asyncio
import os

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from slowhound.config.config import Config
from slowhound.core.record import Record
from slowhound.event.fields import Event
from slowhound.flames.profile import UNSAMPLED, Accuracy, Profile, ProfileSample
from slowhound.flames.sampling import session
from slowhound.flames.sampling.profile_writer import plain
from slowhound.instrument import events
from slowhound.on_demand import responses
from slowhound.on_demand.permission import PARAMETER, GraphRequest, is_user_allowed
from slowhound.on_demand.writer import Graph, GraphWriter, files_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard

# Seconds for which a worker samples no user before it is known, after one who was not allowed.
WRONG_GUESS_PAUSE = 10.0
GRAPH_FAILED = "slowhound: the graph could not be made, and the body is used up\n"
_guard = guard("flames on demand")


class ProfiledRequest:
    """One request whose client wants its flame graph.

    ``sure``: the client is allowed to ask. Until then its user is not known, and what was sampled
    may be discarded.
    """

    def __init__(
        self, record: Record, asked_for: GraphRequest, config: Config, *, sure: bool
    ) -> None:
        self.record = record
        self.config = config
        self.sure = sure
        # A response to HEAD has no body that could be replaced.
        self.instead = asked_for.instead and record.method != "HEAD"
        self.name = ""
        self.until = 0.0  # seconds on the monotonic clock, when the sampling ends by itself
        self.profile: Profile | None = None
        self._drawn: str | None = None
        self._sampling = self._can_be_written = False
        self._stopping = original("_thread", "allocate_lock")()

    def start(self) -> None:
        """Starts the sampling, unless it is too soon or another request is being sampled."""
        seconds = self.config.flames_seconds
        if not _worker.admits(self) or not session.start(self.record, seconds):
            return
        # Most workers never draw. The request that asks imports this, not the thread that writes.
        from slowhound.flames.render import speedscope, svg  # noqa: F401

        self.until = clock.monotonic() + seconds
        self._sampling = True
        self.name = files_of(self.config).name(self.record.number)
        if self.sure:
            self._announce()
        self.record.on_end = self.on_end
        _worker.running = self
        _worker.not_before = clock.monotonic() + self.config.flames_every

    def _announce(self, other: str | None = None) -> None:
        """From now on events may name the graph, if a file can be written; a kill leaves none."""
        files = files_of(self.config)
        self._can_be_written = files.write(self.name, _unsampled(self.record))
        files.remove(self.name)
        if self._can_be_written:
            self.record.flame = other or self.name

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether its user, known by now, is allowed to ask; if not, discards what was sampled."""
        if not self.sure:
            with _guard:
                self.sure = is_user_allowed(request, self.config.flames_allow)
            with _guard:
                if not self.sure:
                    self.discard()
                elif self.name:
                    # A slow request has another graph already, which events may name.
                    self._announce(self.record.flame)
        return self.sure

    async def is_allowed_async(self, request: HttpRequest) -> bool:
        """The same in an event loop, which must not wait for a database query."""
        with _guard:
            return self.sure or await sync_to_async(self.is_allowed)(request)
        return False

    def respond(self, response: HttpResponseBase) -> HttpResponseBase:
        """The response with its headers, or the graph in its place."""
        is_used_up = False  # a streamed body can be read only once
        with _guard:
            if not self._is_meant(response):
                return response
            if not self.instead:
                self._add_headers(response)
                if not response.streaming:
                    self.stop_sampling()
                return response
            if isinstance(response, StreamingHttpResponse):
                is_used_up = True
                responses.drain(response, self.record, self.config.flames_seconds)
            return self._graph(response)
        return responses.in_place_of(response, GRAPH_FAILED) if is_used_up else response

    async def respond_async(self, response: HttpResponseBase) -> HttpResponseBase:
        """The same in an event loop, which does not wait for names, lines and the drawing."""
        is_used_up = False
        with _guard:
            if not self._is_meant(response):
                return response
            if not self.instead:
                self._add_headers(response)
                if not response.streaming:
                    await asyncio.to_thread(self.stop_sampling)
                return response
            if isinstance(response, StreamingHttpResponse):
                is_used_up = True
                seconds = self.config.flames_seconds
                await responses.drain_async(response, self.record, seconds)
            return await asyncio.to_thread(self._graph, response)
        return responses.in_place_of(response, GRAPH_FAILED) if is_used_up else response

    def _is_meant(self, response: HttpResponseBase) -> bool:
        """False for a response that has no graph: another request is profiled, or it redirects."""
        if not self.name:
            responses.add_status(response, "busy")
            return False
        # /shop?flames redirects to /shop/?flames, which is the request to profile, and comes at
        # once.
        if 300 <= response.status_code < 400 and PARAMETER in response.headers.get("Location", ""):
            self.discard()
            _worker.not_before = 0.0
            return False
        return True

    def _add_headers(self, response: HttpResponseBase) -> None:
        responses.add_headers(response, self.record, self.name, self.config)

    def _graph(self, response: HttpResponseBase) -> HttpResponse:
        """The drawing, before the request has ended."""
        from slowhound.flames.render import svg  # most workers never need it

        self.stop_sampling()
        if self.profile is None:
            raise RuntimeError("the sampling was ended by another thread")
        record = self.record
        record.status, record.took = response.status_code, record.age()
        event = plain(events.terminal(record, 1.0))
        self.profile = msgspec.structs.replace(self.profile, event=event)
        self._drawn = svg.render(self.profile)
        return responses.graph_response(response, self._drawn, self.name)

    def stop_sampling(self) -> None:
        """Ends the sampling; the profile is kept until the request ends."""
        # Two threads may be here: the request's own, and one whose request is to be profiled next.
        with self._stopping:
            if self._sampling:
                self._sampling = False
                if _worker.running is self:
                    _worker.running = None
                self.profile = session.stop(self.record) or _unsampled(self.record)

    def discard(self) -> None:
        """Ends the sampling, and discards the profile."""
        if not self.sure and self.name:
            _worker.no_guess_before = clock.monotonic() + WRONG_GUESS_PAUSE
        self.stop_sampling()
        self.profile = self.record.on_end = None
        if self.record.flame == self.name:
            self.record.flame = None
        self.name = ""

    def on_end(self, event: Event | None) -> None:
        """The request ends, in any thread: hands the profile to the thread that writes."""
        self.record.on_end = None
        with _guard:
            if not self.sure:  # its view was interrupted
                self.discard()
                return
            self.stop_sampling()
            profile = self.profile
            if profile is not None and event is not None:
                profile = msgspec.structs.replace(profile, event=plain(event))
            if profile is not None and self._can_be_written:
                _worker.writer.put(Graph(self.config, self.name, profile, self._drawn))


def _unsampled(record: Record) -> Profile:
    """The profile of a request that ended before the first sample."""
    age = record.age()
    return Profile(
        event={},
        started=clock.time() - age,
        duration=age,
        interval=session.INTERVAL,
        frames=[],
        stacks=[[]],
        samples=[ProfileSample(age, age, 0, UNSAMPLED)],
        accuracy=Accuracy(due=1, longest_gap=age, unsampled=age),
    )


class _Worker:
    """Which request this process profiles; a forked child begins with another one."""

    def __init__(self) -> None:
        self.running: ProfiledRequest | None = None
        self.writer = GraphWriter()
        # On the monotonic clock. Of two threads that read it at the same time, the lock of the
        # session admits one.
        self.not_before = 0.0
        self.no_guess_before = 0.0

    def admits(self, new: ProfiledRequest) -> bool:
        """Whether ``new`` may begin now; a client that is allowed takes precedence over a guess."""
        now = clock.monotonic()
        running = self.running
        if running is not None and new.sure and not running.sure:
            running.discard()
        elif running is not None and (running.record.done or now > running.until):
            running.stop_sampling()
        elif now < self.not_before or self.writer.is_full:
            return False
        return new.sure or now >= self.no_guess_before


_worker = _Worker()


def _forget_after_fork() -> None:
    global _worker
    _worker = _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
