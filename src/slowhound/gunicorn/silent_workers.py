"""Reports, from Gunicorn's arbiter, the requests of unresponsive workers."""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import Any, TypeGuard

from slowhound.blackbox.payloads import read_settings
from slowhound.blackbox.reader import read_from
from slowhound.gil import readers, remote_unwinder
from slowhound.gil.unresponsive import UNRESPONSIVE_AFTER
from slowhound.gunicorn import arbiter, children
from slowhound.gunicorn.arbiter import Mailbox, write
from slowhound.peers.stalled import SHORTEST_WAIT, StalledPeer
from slowhound.runtime.clocks import clock
from slowhound.system.files import opened
from slowhound.system.guard import guard


def check(server: Any) -> None:
    """Reports for workers that cannot run; called in the arbiter's main loop.

    A child does that, with no more rights than the workers have: it takes 0.1 s for each of them,
    4 s with py-spy, and the arbiter must go on. Where Python itself reads stacks, the arbiter does
    it, one worker at a time: under Yama's scope 1 only an ancestor may.
    """
    if children.any_running():
        return
    workers = list(arbiter.workers(server).values())
    late = [mailbox for mailbox in map(_mailbox, workers) if _is_due(mailbox)]
    cfg = getattr(workers[0], "cfg", None) if workers else None
    if not late or cfg is None:
        return
    late.sort(key=lambda mailbox: mailbox.next_check[0])  # the one that has waited longest
    if remote_unwinder.available and os.geteuid() == cfg.user:
        _check_all(server, late[:1])
    else:
        children.in_child(cfg, partial(_check_all, server, late))


def _mailbox(worker: Any) -> Mailbox | None:
    found: Mailbox | None = getattr(worker, "slowhound_mailbox", None)
    return found


def _is_due(mailbox: Mailbox | None) -> TypeGuard[Mailbox]:
    """True for a worker that is silent for long, and was not checked just now."""
    now = clock.monotonic()
    try:
        if mailbox is None or not mailbox.heartbeat[0]:
            return False
        silent = now - mailbox.heartbeat[0] / 1e9 > UNRESPONSIVE_AFTER
        return silent and now >= mailbox.next_check[0] / 1e9
    except ValueError:  # it has just been reaped: Gunicorn 23 does that in a signal handler
        return False


def _check_all(server: Any, mailboxes: list[Mailbox]) -> None:
    for mailbox in mailboxes:
        # Whatever happens, the others have their turn before this one.
        mailbox.next_check[0] = int((clock.monotonic() + SHORTEST_WAIT) * 1e9)
        with guard("silent workers"):  # its box may hold anything
            _check_one(server, mailbox)


def _check_one(server: Any, mailbox: Mailbox) -> None:
    path = mailbox.path
    state = None
    with contextlib.suppress(OSError), opened(path) as fd:  # else it has ended
        state = read_from(fd)
    if state is not None:
        settings = read_settings(state.settings)
        written = partial(write, server, path, settings)
        peer = StalledPeer(path, lambda event: written([event]), readers=readers.ELSEWHERE)
        peer.check(state)
        mailbox.next_check[0] = int(peer.next_check * 1e9)
