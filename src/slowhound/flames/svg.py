"""The former name of ``slowhound.flames.render.svg``; it goes with version 0.2."""

import warnings

from slowhound.flames.render.svg import SCRIPT_HASH, STYLE_HASH, render

__all__ = ["SCRIPT_HASH", "STYLE_HASH", "render"]

warnings.warn(
    "slowhound.flames.svg is now slowhound.flames.render.svg; the old name goes with version 0.2",
    DeprecationWarning,
    stacklevel=2,
)
