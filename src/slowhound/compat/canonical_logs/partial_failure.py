"""``on_error``, whose event goes to standard output unless told otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slowhound.context import on_error as slowhound_on_error


def on_error(
    *, return_value: Any, logger_func: Callable[[str], object] = print
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """See ``slowhound.on_error``."""
    return slowhound_on_error(return_value=return_value, logger_func=logger_func)
