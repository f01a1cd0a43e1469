"""Instrumenters as an application registers them."""

from __future__ import annotations

import os
from typing import Any

from slowhound import Context, register_instrumenter
from tests.site.options import OPTIONS

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
