"""``?flames``: a flame graph of one request, because its client asked for it.

The response stays what it is, and gets headers that say where its time went and how the graph is
called; with ``?flames=svg`` the graph is sent in its place. The files are drawn and written after
the response, by a thread that ends with that. One request at a time in each worker; another one
that asks meanwhile, and may, is told so. One that may not is passed through untouched.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from slowhound.config.config import Config
from slowhound.core.record import Record
from slowhound.event.fields import Event
from slowhound.flames.profile import Accuracy, Profile, ProfileSample
from slowhound.flames.sampling import session
from slowhound.flames.sampling.profile_writer import plain
from slowhound.instrument import events
from slowhound.on_demand import responses
from slowhound.on_demand.permission import HEADER, PARAMETER, Wish, may, may_now, wish
from slowhound.on_demand.writer import Graph, GraphWriter, files_of
from slowhound.runtime.clocks import clock
from slowhound.runtime.unpatched import original
from slowhound.system.guard import guard

Respond = Callable[[HttpRequest], HttpResponseBase]
RespondLater = Callable[[HttpRequest], Awaitable[Any]]

# Seconds: a guess that was wrong (no staff) bars further ones in its worker.
WRONG_GUESS = 10.0
SORRY = "slowhound: the graph could not be made, and the body has been\n"
_guard = guard("flames on demand")


def asked(meta: Mapping[str, Any]) -> bool:
    """True when a request may want a graph; all that the others pay."""
    query = meta.get("QUERY_STRING")
    return (type(query) is str and PARAMETER in query) or HEADER in meta


def around(get_response: Respond, record: Record, config: Config) -> Respond:
    """``get_response``, profiled if whoever asks for it may."""

    def respond(request: HttpRequest) -> HttpResponseBase:
        wanted = begin(record, request, config)
        response = get_response(request)
        if wanted is not None and wanted.is_allowed(request):
            return wanted.answer(response)
        return response

    return respond


def around_later(get_response: RespondLater, record: Record, config: Config) -> RespondLater:
    """The same for a ``get_response`` that is awaited."""

    async def respond(request: HttpRequest) -> Any:
        wanted = begin(record, request, config)
        response = await get_response(request)
        if wanted is not None and await wanted.is_allowed_later(request):
            return await wanted.answer_later(response)
        return response

    return respond


def begin(record: Record, request: HttpRequest, config: Config) -> Demand | None:
    """The demand of a request that may ask for a graph, or whose user may turn out to; else None.

    That it was refused because of another one is in its answer.
    """
    with _guard:
        wanted = wish(request.META)
        if wanted is None:
            return None
        allowed = may(request, wanted.tokens, config.flames_allow)
        if allowed is False:
            return None
        found = Demand(record, wanted, config, sure=bool(allowed))
        found.start()
        return found
    return None


class Demand:
    """One request whose client wants its flame graph.

    ``sure``: it may; until then its user is not known, and what was sampled may be thrown away.
    """

    def __init__(self, record: Record, wanted: Wish, config: Config, *, sure: bool) -> None:
        self.record = record
        self.config = config
        self.sure = sure
        # A response to HEAD has no body that could be replaced.
        self.instead = wanted.instead and record.method != "HEAD"
        self.name = ""
        self.until = 0.0  # seconds on the monotonic clock, when the sampling ends by itself
        self.profile: Profile | None = None
        self._drawn: str | None = None
        self._samples = self._can_be_written = False
        self._ending = original("_thread", "allocate_lock")()

    def start(self) -> None:
        """Lets the sampling begin, unless it is too soon or another one is at it."""
        seconds = self.config.flames_seconds
        if not _worker.takes(self) or not session.start(self.record, seconds):
            return
        # What draws it, and what most workers never need: imported by whoever asks, and not by the
        # thread that writes.
        from slowhound.flames.render import svg  # noqa: F401

        self.until = clock.monotonic() + seconds
        self._samples = True
        self.name = files_of(self.config).name(self.record.number)
        if self.sure:
            self._name_it()
        self.record.on_end = self.ended
        _worker.running = self
        _worker.not_before = clock.monotonic() + self.config.flames_every

    def _name_it(self, other: str | None = None) -> None:
        """From now on events may name the graph, if a file can be written; a kill leaves none."""
        files = files_of(self.config)
        self._can_be_written = files.write(self.name, _unseen(self.record))
        files.remove(self.name)
        if self._can_be_written:
            self.record.flame = other or self.name

    def is_allowed(self, request: HttpRequest) -> bool:
        """Whether it may, now that its user is known; if not, nothing is left of it."""
        if not self.sure:
            with _guard:
                self.sure = may_now(request, self.config.flames_allow)
            with _guard:
                if not self.sure:
                    self.discard()
                elif self.name:
                    self._name_it(self.record.flame)  # it was slow, and has another one as well
        return self.sure

    async def is_allowed_later(self, request: HttpRequest) -> bool:
        """The same in an event loop, which must not wait for a look into the database."""
        with _guard:
            return self.sure or await sync_to_async(self.is_allowed)(request)
        return False

    def answer(self, response: HttpResponseBase) -> HttpResponseBase:
        """The response with its headers, or the graph."""
        made = False  # the body of a stream, which can be made once only
        with _guard:
            if not self._is_meant(response):
                return response
            if not self.instead:
                self._add_headers(response)
                if not response.streaming:
                    self.settle()
                return response
            if isinstance(response, StreamingHttpResponse):
                made = True
                responses.drain(response, self.record, self.config.flames_seconds)
            return self._graph(response)
        return responses.in_place_of(response, SORRY) if made else response

    async def answer_later(self, response: HttpResponseBase) -> HttpResponseBase:
        """The same in an event loop, which does not wait for names, lines and the drawing."""
        made = False
        with _guard:
            if not self._is_meant(response):
                return response
            if not self.instead:
                self._add_headers(response)
                if not response.streaming:
                    await asyncio.to_thread(self.settle)
                return response
            if isinstance(response, StreamingHttpResponse):
                made = True
                seconds = self.config.flames_seconds
                await responses.drain_later(response, self.record, seconds)
            return await asyncio.to_thread(self._graph, response)
        return responses.in_place_of(response, SORRY) if made else response

    def _is_meant(self, response: HttpResponseBase) -> bool:
        """False when this response is passed on as it is: refused, or on its way to another URL."""
        if not self.name:
            responses.say(response, "busy")
            return False
        # /shop?flames leads to /shop/?flames: that one is meant, and comes at once.
        if 300 <= response.status_code < 400 and PARAMETER in response.headers.get("Location", ""):
            self.discard()
            _worker.not_before = 0.0
            return False
        return True

    def _add_headers(self, response: HttpResponseBase) -> None:
        responses.add_headers(response, self.record, self.name, self.config)

    def _graph(self, response: HttpResponseBase) -> HttpResponse:
        """The drawing, before the request has ended."""
        from slowhound.flames.render import svg  # what most workers never need

        self.settle()
        if self.profile is None:
            raise RuntimeError("somebody else has ended the sampling")
        record = self.record
        record.status, record.took = response.status_code, record.age()
        event = plain(events.terminal(record, 1.0))
        self.profile = msgspec.structs.replace(self.profile, event=event)
        self._drawn = svg.render(self.profile)
        return responses.drawing(response, self._drawn, self.name)

    def settle(self) -> None:
        """Ends the sampling; what was found is kept until the request ends."""
        # Two threads may be here: the request's own, and one that wants its turn.
        with self._ending:
            if self._samples:
                self._samples = False
                if _worker.running is self:
                    _worker.running = None
                self.profile = session.stop(self.record) or _unseen(self.record)

    def discard(self) -> None:
        """Ends the sampling, and keeps nothing of it."""
        if not self.sure and self.name:
            _worker.no_guess_before = clock.monotonic() + WRONG_GUESS
        self.settle()
        self.profile = self.record.on_end = None
        if self.record.flame == self.name:
            self.record.flame = None
        self.name = ""

    def ended(self, event: Event | None) -> None:
        """The request's end, in whatever thread: what was sampled goes to the one that writes."""
        self.record.on_end = None
        with _guard:
            if not self.sure:  # its view was broken off
                self.discard()
                return
            self.settle()
            profile = self.profile
            if profile is not None and event is not None:
                profile = msgspec.structs.replace(profile, event=plain(event))
            if profile is not None and self._can_be_written:
                _worker.writer.put(Graph(self.config, self.name, profile, self._drawn))


def _unseen(record: Record) -> Profile:
    """The profile of a request that was over before anybody could look."""
    age = record.age()
    return Profile(
        event={},
        started=clock.time() - age,
        duration=age,
        interval=session.INTERVAL,
        frames=[],
        stacks=[[]],
        samples=[ProfileSample(age, age, 0, "blind")],
        accuracy=Accuracy(due=1, longest_gap=age, blind=age),
    )


class _Worker:
    """What is asked for in this process; made anew in a forked child."""

    def __init__(self) -> None:
        self.running: Demand | None = None
        self.writer = GraphWriter()
        # On the monotonic clock. Threads that look at the same moment are told apart by the lock
        # of the sampler.
        self.not_before = 0.0
        self.no_guess_before = 0.0

    def takes(self, new: Demand) -> bool:
        """Whether it may begin now; one whose user is known goes before one that is a guess."""
        now = clock.monotonic()
        running = self.running
        if running is not None and new.sure and not running.sure:
            running.discard()
        elif running is not None and (running.record.done or now > running.until):
            running.settle()
        elif now < self.not_before or self.writer.is_full:
            return False
        return new.sure or now >= self.no_guess_before


_worker = _Worker()


def _forget_after_fork() -> None:
    global _worker
    _worker = _Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
