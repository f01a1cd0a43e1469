"""The server of a process, as the recorder has to know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from slowhound.sinks import stream


class Server(NamedTuple):
    """What a process serves its requests with.

    ``slots`` is how many requests can be in flight and still have a place in the black box.
    """

    name: str = "wsgi"
    slots: int = 64
    log: stream.Stream | None = None  # its access log
    # Is told the path of each new black box; True when the parent will reap it.
    tell: Callable[[str], bool] | None = None
    heartbeat: memoryview[int] | None = None  # a cell that its parent sees
