"""A process that loads the application for others, and serves no request itself.

Gunicorn's arbiter does with ``--preload``, uWSGI's master without ``--lazy-apps``; and an
application may warm itself up by requests of its own. A recorder that began there would make
``DIR`` as the arbiter's user, often root, and leave a thread in a process that forks; its workers
could not write.
"""

from __future__ import annotations

import os
import sys
from types import FrameType

from slowhound.frames.frames import current_frames, outwards
from slowhound.runtime.code_objects import module_of
from slowhound.runtime.library_names import find

ARBITER = "gunicorn.arbiter"
SPAWN = "gunicorn.arbiter.Arbiter.spawn_worker"
IN_IT = "requests in an arbiter that has loaded the application are recorded, by its user"


def loads_for_others() -> bool:
    """True in such a process, whichever of its threads asks; asked while there is no recorder."""
    return _is_gunicorns() or _is_uwsgis()


def _is_gunicorns() -> bool:
    if ARBITER not in sys.modules or find(SPAWN, IN_IT) is None:
        return False
    spawn = SPAWN.rpartition(".")[2]
    stacks = [sys._getframe(), *current_frames().values()]
    names = {name for innermost in stacks for name in _of_arbiter(innermost)}
    return bool(names) and spawn not in names


def _of_arbiter(frame: FrameType | None) -> list[str]:
    """The functions of the arbiter's in a stack; a worker is forked within one, and stays in it."""
    return [each.f_code.co_name for each in outwards(frame) if module_of(each.f_globals) == ARBITER]


def _is_uwsgis() -> bool:
    """True in uWSGI's master, and in a single process of its until the application is loaded."""
    uwsgi = sys.modules.get("uwsgi")  # there is none but within it
    if uwsgi is None:
        return False
    numbers = [getattr(uwsgi, name, None) for name in ("worker_id", "mule_id")]
    # A spooler has no number either: it is forked, and from then on not the master.
    return all(each is not None and each() == 0 for each in numbers) and (
        getattr(uwsgi, "masterpid", int)() in (0, os.getpid())
    )
