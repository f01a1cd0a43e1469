"""The ways in which a greenlet can wait; each is a function, a view and a URL of `views`."""

from __future__ import annotations

WAITS = (
    "in_sleep",
    "in_event",
    "in_lock",
    "in_condition",
    "in_queue",
    "in_socket",
    "in_select",
    "in_join",
    "in_thread_join",
    "in_pool",
)
