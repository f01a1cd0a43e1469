"""Samples saturation: how many workers there are, how many are busy, how many clients wait.

Each worker's hound reads the boxes of its peers and its own listening sockets: this needs no
thread in the arbiter, and no named shared memory.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import Any

from slowhound.blackbox.reader import BoxState
from slowhound.runtime.library_names import missing

_TCP_UNACKED = 24  # offset of tcpi_unacked in struct tcp_info: for a listener, its accept queue
_UNIX_DIAG = struct.Struct("=IHHIIBBHIIIII")
_RQLEN_ATTRIBUTE = 4
_SHOW_RQLEN = 0x10
_LISTEN = 10
_SOCK_DIAG_BY_FAMILY = 20


class Saturation:
    """The latest sample; each request that ends reads ``fields``."""

    def __init__(self) -> None:
        self.listeners: list[socket.socket] = []
        self.pool: Any = None  # gthread's ThreadPoolExecutor
        self.pool_size = 0
        self.fields: dict[str, int] = {}
        self.rss = 0  # resident memory of this process, bytes

    def sample(self, boxes: list[BoxState]) -> None:
        """Takes a new sample; a part that cannot be known on this system is left out."""
        fields = {}
        parent = os.getppid()
        # Of two containers that share DIR, each has its own process 1.
        workers = [box for box in boxes if box.parent == parent and box.is_here]
        if workers:
            fields["g_w_count"] = len(workers)
            fields["g_w_active"] = sum(1 for worker in workers if worker.busy)
        waiting = backlog(self.listeners)
        if waiting is not None:
            fields["g_backlog"] = waiting
        self.fields = fields
        self.rss = _resident()

    def threads(self) -> int | None:
        """How many requests this worker can run at once, if it has a pool of threads."""
        return None if self.pool is None else self.pool_size

    def inside(self, busy: int) -> dict[str, int]:
        """Fields that only a gthread worker has: its threads, the busy ones, and its own queue."""
        if self.pool is None:
            return {}
        found = {"g_threads": self.pool_size, "g_threads_busy": busy}
        queue = getattr(self.pool, "_work_queue", None)
        if queue is None:
            missing("concurrent.futures.ThreadPoolExecutor:_work_queue", "there is no g_queue")
        else:
            found["g_queue"] = queue.qsize()
        return found


def _resident() -> int:
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0  # not Linux: the field is left out


def backlog(listeners: list[socket.socket]) -> int | None:
    """Connections that wait for ``accept`` on all listeners; None when that is not known."""
    if not sys.platform.startswith("linux"):
        return None
    counts = [_waiting(listener) for listener in listeners]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _waiting(listener: Any) -> int | None:
    try:
        family = listener.getsockname()
        if isinstance(family, str | bytes):
            return _waiting_unix(os.fstat(listener.fileno()).st_ino)
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_UNACKED + 4)
        return int(struct.unpack_from("=I", info, _TCP_UNACKED)[0])
    except (OSError, struct.error):
        return None


def _waiting_unix(inode: int) -> int | None:
    """The accept queue of a unix socket, from the kernel by netlink (sock_diag(7))."""
    request = _UNIX_DIAG.pack(
        _UNIX_DIAG.size, _SOCK_DIAG_BY_FAMILY, 1, 1, 0,  # nlmsghdr: a plain request
        socket.AF_UNIX, 0, 0, 1 << _LISTEN, inode, _SHOW_RQLEN, 0xFFFFFFFF, 0xFFFFFFFF,
    )  # fmt: skip
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as netlink:  # NETLINK_SOCK_DIAG
        netlink.settimeout(0.1)
        netlink.send(request)
        answer = netlink.recv(4096)
    kind = struct.unpack_from("=H", answer, 4)[0]
    position = 16 + 16  # struct nlmsghdr, struct unix_diag_msg
    if kind != _SOCK_DIAG_BY_FAMILY:
        return None
    while position + 4 <= len(answer):
        length, attribute = struct.unpack_from("=HH", answer, position)
        if attribute == _RQLEN_ATTRIBUTE:
            return int(struct.unpack_from("=I", answer, position + 4)[0])
        if length < 4:
            return None
        position += (length + 3) & ~3
    return None
