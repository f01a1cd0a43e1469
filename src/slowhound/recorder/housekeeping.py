"""The worker's housekeeping: what the hound's thread does once a second, and what less often."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from slowhound.config.config import Config
from slowhound.delivery.worker import Delivery
from slowhound.flames.sampling.sampler import Sampler
from slowhound.recorder.own_box import OwnBox
from slowhound.recorder.peer_checks import PeerChecks
from slowhound.recorder.writer import Writer
from slowhound.watch.hound import Task
from slowhound.watch.slow_requests import SlowWatch

# Seconds between two checks of what all segments take, and of the dumps of ended processes.
RETENTION_EVERY = 60


def tasks(  # noqa: PLR0913, PLR0917  one for each part that has something to do
    config: Config,
    box: OwnBox,
    watch: SlowWatch,
    writer: Writer,
    peer_checks: PeerChecks,
    sampler: Sampler,
    delivery: Delivery,
    finish_lost: Callable[[], None],
) -> tuple[Task, ...]:
    """All of it, in order; each task is done by the part that owns the thing."""
    return (
        Task("black box", box.tend),
        Task("dump", box.answer_dump),
        Task("old dumps", box.sweep_dumps, RETENTION_EVERY),
        Task("override", partial(watch.override.read, config.dir)),
        Task("files", writer.tend),
        Task("retention", writer.remove_oldest, RETENTION_EVERY),
        Task("peers", peer_checks.check),
        Task("sampler", sampler.rest),
        Task("lost responses", finish_lost),
        Task("delivery", delivery.start_when_loaded),
    )
