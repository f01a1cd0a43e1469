"""Writes the files of a graph on demand: its data, and its drawings, SVG and speedscope.

A thread does that, which begins with the first graph and ends with the last: drawing takes a tenth
of a second and more, for which neither a response nor an event loop must wait.
"""

from __future__ import annotations

import atexit
import os
import re
from collections import deque
from typing import NamedTuple

from slowhound.config.config import Config
from slowhound.flames.files import ALL_OURS, FlameFiles
from slowhound.flames.profile import SUFFIX, Profile
from slowhound.runtime.unpatched import original
from slowhound.system.files import write_whole
from slowhound.system.guard import guard
from slowhound.system.losses import lost
from slowhound.system.os_thread import OsThread
from slowhound.system.private_dir import keep_within

# Graphs that wait to be written; beyond it, requests are refused.
MOST_WAITING_GRAPHS = 4
# Seconds to write them when the process ends.
WRITER_ENDS_WITHIN = 3.0
# Also the partial files of a killed worker.
_CAPPED = re.compile(rf"(?:{ALL_OURS.pattern})|\.flame_[\w.]+\.part")
_guard = guard("the files of graphs")


class Graph(NamedTuple):
    """A graph to write; ``drawn`` is the SVG where there is one already."""

    config: Config
    name: str
    profile: Profile
    drawn: str | None


def files_of(config: Config) -> FlameFiles:
    """The files of profiles, in the folder that the settings name."""
    return FlameFiles(config.dir, config.flames_max_bytes, config.flames_dir)


def path_of(config: Config, name: str, suffix: str) -> str:
    """The path of a file that belongs to the profile ``name``."""
    folder = config.flames_dir or os.path.join(config.dir, "flames")
    return os.path.join(folder, name.removesuffix(SUFFIX) + suffix)


class GraphWriter:
    """Writes the graphs of one process, in a thread."""

    def __init__(self) -> None:
        self._queue: deque[Graph] = deque()
        self._thread: OsThread | None = None
        # Held while the thread empties the queue.
        self._at_work = original("_thread", "allocate_lock")()

    @property
    def is_full(self) -> bool:
        """True while so many graphs wait that a new one would be discarded."""
        return len(self._queue) >= MOST_WAITING_GRAPHS

    def put(self, graph: Graph) -> None:
        """Queues a graph."""
        self._queue.append(graph)
        if not self._at_work.acquire(blocking=False):
            return  # the thread checks the queue again before it ends
        if self._thread is None:
            atexit.register(self._wait)
        self._thread = OsThread(self._run)
        try:
            self._thread.start()
        except RuntimeError as exc:  # no more threads
            self._at_work.release()
            self._queue.clear()
            lost("flame graphs", exc)

    def _run(self, _wait: object) -> None:
        while self._queue:
            try:
                while self._queue:
                    with _guard:
                        write(self._queue.popleft())
            finally:
                self._at_work.release()
            # No other thread would write what was queued between the last check and the release.
            if not self._queue or not self._at_work.acquire(blocking=False):
                return

    def _wait(self) -> None:
        if self._thread is not None:
            self._thread.stop(WRITER_ENDS_WITHIN)


def write(graph: Graph) -> None:
    """Writes the data, and then the drawings; each file appears when it is complete."""
    from slowhound.flames.render.speedscope import render as to_speedscope  # most never need it
    from slowhound.flames.render.svg import render as to_svg

    config, name = graph.config, graph.name
    # Counts and logs a failure itself; without the data, drawings are of no use.
    if not files_of(config).write(name, graph.profile):
        return
    drawings = (
        (".svg", graph.drawn or to_svg(graph.profile)),
        (".speedscope.json", to_speedscope(graph.profile)),
    )
    try:
        for suffix, text in drawings:
            path = path_of(config, name, suffix)
            draft = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.part")
            write_whole(path, text.encode("utf-8", "backslashreplace"), draft)
        path = path_of(config, name, SUFFIX)
        keep_within(os.path.dirname(path), config.flames_max_bytes, _CAPPED, keep=path)
    except OSError as exc:
        lost("flame graphs", exc)
