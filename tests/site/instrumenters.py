"""Instrumenters that the site registers, as an application would."""

from __future__ import annotations

import os
import time
from typing import Any

from slowhound import Context, register_instrumenter
from slowhound.gunicorn.exit_signals import EXIT_SIGNALS
from tests.site.gates import LONGEST
from tests.site.options import OPTIONS, SCRATCH

setups = 0


@register_instrumenter
class CountsSetups:
    """Puts the number of its set-ups into each event."""

    def setup(self) -> None:
        global setups
        setups += 1
        self.pid = os.getpid()

    def call(self, request: Any, response: Any, environ: Any) -> None:
        Context.set("setups", setups)
        Context.set("setup_pid", self.pid)


if OPTIONS["django"].get("FAILING_INSTRUMENTER"):

    @register_instrumenter
    class Fails:
        """Fails each time an event is made."""

        def setup(self) -> None:
            raise RuntimeError("set-up fails")

        def call(self, request: Any, response: Any, environ: Any) -> None:
            raise RuntimeError("call fails")


if OPTIONS["django"].get("WAITS_FOR_ABORT"):

    @register_instrumenter
    class WaitsForAbort:
        """Delays the end of one request until its worker gets SIGABRT."""

        def setup(self) -> None:
            pass

        def call(self, request: Any, response: Any, environ: Any) -> None:
            if request.path == "/item/1/":
                (SCRATCH / "ending").write_text(str(os.getpid()))
                end = time.monotonic() + LONGEST
                while not EXIT_SIGNALS.deferred and time.monotonic() < end:
                    time.sleep(0.01)
