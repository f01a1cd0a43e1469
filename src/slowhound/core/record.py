"""The record: what is known of one request so far."""

from __future__ import annotations

import errno
import itertools
import threading
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from slowhound.core import ids
from slowhound.core.observations import Moment, QueryStats
from slowhound.redaction import masking
from slowhound.redaction.masking import PATH_LIMIT, client_text
from slowhound.redaction.plain_data import as_text, text_or_none
from slowhound.runtime.clocks import clock
from slowhound.runtime.library_names import missing

if TYPE_CHECKING:
    import asyncio

    from slowhound.blackbox.slots import Slot
    from slowhound.core.observations import Sample
    from slowhound.core.slow import Slow
    from slowhound.event.outgoing import Outgoing

# A request with more moments than this keeps the first ones and counts the rest.
TIMELINE_LIMIT = 200
SHORT_METHOD, METHOD_LIMIT = 12, 40
# Statuses of responses that end with their head.
BODILESS = (204, 304)
# What a server's write to a client that has gone away fails with.
CLIENT_GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNABORTED)

# One for each record of this process, in the order in which they begin.
numbers = itertools.count(1)


class Owner(Enum):
    """The code that begins a record, which alone ends it."""

    HOOK = "Gunicorn's hooks"
    WRAP = "slowhound.asgi.wrap"
    MIDDLEWARE = "the middleware"
    TASK = "background work"


# Trace and span id, as lowercase hex.
Ids = tuple[str, str]


class Record:
    """What is known of one request so far.

    Defaults are class attributes: what a request does not use costs it nothing.
    Times are seconds; ``started`` is on the monotonic clock.
    """

    kind: str = "request"  # the type of its event
    # Whose it is, see ``ownership``.
    owner: Owner = Owner.MIDDLEWARE
    mark: str | None = None  # what only the server's own environ has
    wire: tuple[str, str] | None = None  # method and path as the hook has read them
    scope: Any = None  # ASGI's, once ``wrap`` has seen it
    request: Any = None  # Django's request, once the middleware has seen it
    match: Any = None  # what its URL has resolved to, where only a copy of the request has it
    begun: bool = False
    turn: int = 0  # responses of the middleware so far; the last one counts
    left: bool = False  # the middleware has returned its response
    thrown: bool = False  # the response is being closed, and was not sent
    is_forgotten: bool = False  # the response was freed without being closed
    complete: bool = False  # the server has its last byte
    ender: object = None  # the call of ``Recorder.finish`` that ends it
    done: bool = False
    has_left_loop: bool = False  # as by sys.exit(): its loop ends, and cancels all it runs
    is_inner: bool = False  # the application makes it in process, within another request
    outer: Record | None = None  # the task or the request in which it was begun
    streams: dict[int, Record] | None = None  # inner ones whose bodies are still to be made
    outgoing: Outgoing | None = None  # its terminal event, once it is made
    # What carries it.
    environ: dict[str, Any] | None = None
    response: Callable[[], Any] | None = None  # weak: a record never keeps a body alive
    body: Callable[[], Any] | None = None  # the generator that counts the parts of one; weak
    # Called once, when it has ended, with its event, or with None when it has none.
    on_end: Callable[[dict[str, Any] | None], None] | None = None
    # A task or a greenlet, when that carries it and not a thread of its own; weak.
    task: Callable[[], asyncio.Task[Any] | None] | None = None
    greenlet: Callable[[], Any] | None = None
    trace: Ids | None = None  # the trace and the span that it belongs to
    span: Callable[[], Any] | None = None  # OpenTelemetry's, that one; weak
    # What the response was.
    status: int | None = None
    sent: int | None = None  # body bytes
    first_byte: float | None = None  # seconds after the start
    last_part: float | None = None  # when bytes of it were sent last, on the monotonic clock
    parts: int = 0  # how many parts were sent
    pause: float = 0.0  # seconds from one part to the next, or to the first, at most so far
    sent_after: float | None = None  # seconds after the start, once the server has the last byte
    outcome: str | None = None
    took: float = 0.0  # seconds in the end
    after: float = 0.0  # seconds of work after the last byte of the response
    cpu: float | None = None  # seconds of its thread; not known when another thread ended it
    # What it did.
    accounted: float = 0.0  # time attributed to db, cache, template and outbound, without overlap
    queries: dict[tuple[str, str], QueryStats] | None = None
    db_count: int = 0
    db_time: float = 0.0
    cache: dict[str, int] | None = None
    cache_time: float = 0.0
    tmpl_count: int = 0
    tmpl_time: float = 0.0
    out_count: int = 0
    out_time: float = 0.0
    gc_time: float = 0.0
    exc: dict[str, Any] | None = None
    extras: dict[str, Any] | None = None
    timeline: list[tuple[float, float, str, str]] | None = None  # see moments()
    timeline_left_out: int = 0
    aborted: dict[str, Any] | None = None  # where it was when its worker was ended
    # What the hound keeps.
    slot: Slot | None = None  # its place in the black box
    taken: list[Slot] | None = None  # the same, as the box gives and takes it
    slow: Slow | None = None
    gil_hold: float = 0.0  # seconds for which its thread kept all others from running
    gil_wait: float = 0.0  # seconds for which another thread did so
    gil_held_by: str | None = None
    loop_lag: float = 0.0  # seconds for which its event loop or hub stood still
    loop_blocked_by: str | None = None
    long_lived: bool = False  # a websocket, which is open and not slow
    slow_after: float | None = None  # a threshold of its own, seconds
    task_id: str | None = None  # of a task, in its queue
    shown_id: str | None = None  # the same without secrets
    samples: list[Sample] | None = None  # of its stack so far
    flame: str | None = None  # file name of its flame graph
    overhead: float = 0.0  # seconds of this request that slowhound itself took

    def __init__(self, method: str, path: str, started: float) -> None:
        self.number = next(numbers)
        self.id = ids.new_id(self.number)
        method = as_text(method)
        # A client may send any word as a method. A word as short as a real method is no secret.
        is_short = len(method) <= SHORT_METHOD
        self.method = method if is_short else client_text(method, METHOD_LIMIT)
        self.path = client_text(as_text(path), PATH_LIMIT)
        self.started = started
        self.thread_id = ids.get_ident()
        self.native_id = threading.get_native_id()
        self.cpu_started = clock.thread_time()

    @property
    def by_server(self) -> bool:
        """True when it was begun outside of Django, and ends there."""
        return self.owner is Owner.HOOK or self.owner is Owner.WRAP

    @property
    def has_no_body(self) -> bool:
        """True where the response has only a head, by the method or the status."""
        return self.method == "HEAD" or self.status in BODILESS

    @property
    def yields(self) -> bool:
        """True for a websocket: where there is no room for all, requests come first."""
        return self.long_lived and self.kind == "request"

    def meta(self, name: str) -> str | None:
        """The environ's value for this name, as a text; a server may put anything there."""
        environ = self.environ
        return text_or_none(environ.get(name)) if type(environ) is dict else None

    def part_sent(self) -> None:
        """Bytes of the response have been sent: it makes progress."""
        now = clock.monotonic()
        self.pause = max(self.pause, self.quiet(now))
        self.last_part = now
        self.parts += 1

    def quiet(self, now: float) -> float:
        """Seconds for which no part of the response has been sent."""
        return now - (self.started if self.last_part is None else self.last_part)

    def longest_quiet(self) -> float:
        """The longest such time of a request that has ended."""
        return max(self.pause, self.quiet(self.started + self.took))

    def finished_sending(self) -> None:
        """The server has the last byte of the response; work from now on is not response time."""
        if not self.complete:
            self.complete = True
            self.sent_after = clock.monotonic() - self.started

    def forgotten(self) -> None:
        """Its response was freed without being closed; the time until that is seen is lost."""
        self.finished_sending()
        self.is_forgotten = True

    def ended_after(self, age: float) -> None:
        """The request has ended at this age; its response may have ended before."""
        self.took = age if self.sent_after is None else self.sent_after
        self.after = 0.0 if self.is_forgotten else age - self.took

    def drop_references(self) -> None:
        """Drops what belongs to the application.

        What a view leaves open, such as a connection of asyncio's, keeps its context and so this
        record for as long as it lives.
        """
        self.request = self.match = self.environ = self.scope = None

    def age(self, now: float | None = None) -> float:
        """Seconds since the request began."""
        return (clock.monotonic() if now is None else now) - self.started

    @property
    def referrer(self) -> str | None:
        """The page that linked here, from the header ``Referer``, or else from ``Referrer``."""
        value = self.meta("HTTP_REFERER")
        return self.meta("HTTP_REFERRER") if value is None else value

    @property
    def resolved(self) -> Any:
        """What Django has resolved the URL to; None before, and where there is no view."""
        match = getattr(self.request, "resolver_match", None)
        return self.match if match is None else match

    @property
    def view(self) -> str | None:
        """Django's name for the view, once the URL is resolved."""
        return _name_or_none(getattr(self.resolved, "view_name", None))

    @property
    def is_resolved(self) -> bool:
        """True once Django has resolved the URL, which it never does where there is no view."""
        return self.resolved is not None

    @property
    def route(self) -> str | None:
        """The URL pattern that matched, once the URL is resolved."""
        return _name_or_none(getattr(self.resolved, "route", None))

    def names(self) -> tuple[str | None, ...]:
        """All names that a setting may use for the view: the URL's name, route and function."""
        match = self.resolved
        if match is None:
            return ()
        function = getattr(match, "_func_path", None)
        if function is None:
            missing("django.urls.ResolverMatch:_func_path", "IGNORE knows no view by its function")
        names = (match.view_name, match.url_name, match.route, function)
        return tuple(text_or_none(each) for each in names)

    def claim_slow(self, slow: Slow) -> bool:
        """Makes ``slow`` the state of this request; False when another thread was first."""
        return self.__dict__.setdefault("slow", slow) is slow  # one dict operation

    def note(self, start: float, took: float, kind: str, text: str) -> None:
        """Adds one moment to the timeline, which has a limit."""
        if self.timeline is None:
            self.timeline = []
        if len(self.timeline) < TIMELINE_LIMIT:
            self.timeline.append((start, took, kind, text))
        else:
            self.timeline_left_out += 1

    def moments(self) -> list[Moment]:
        """The timeline so far; only a report needs it in this form."""
        entries = list(self.timeline or ())
        return [
            Moment(start - self.started, took, kind, text) for start, took, kind, text in entries
        ]


def _name_or_none(value: Any) -> str | None:
    found = text_or_none(value)
    return None if found is None else masking.name(found)
