"""The former name of ``slowhound.flames.render.svg``; version 0.2 removes it."""

import warnings

from slowhound.flames.render.svg import SCRIPT_HASH, STYLE_HASH, render

__all__ = ["SCRIPT_HASH", "STYLE_HASH", "render"]

warnings.warn(
    "slowhound.flames.svg is now slowhound.flames.render.svg; version 0.2 removes the old name",
    DeprecationWarning,
    stacklevel=2,
)
