"""What ``slowhound doctor`` checks: the installation, DIR and this host."""

from __future__ import annotations

from typing import NamedTuple


class Diagnostic(NamedTuple):
    """The result of one check: ``ok``, ``note`` (works, with a limit) or ``problem``."""

    state: str
    subject: str
    text: str
    advice: str = ""
