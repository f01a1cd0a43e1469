"""Keeps the former name ``slowhound.secret_names`` until version 0.2."""

import warnings

from slowhound.redaction.names import is_secret

__all__ = ["is_secret"]

warnings.warn(
    "slowhound.secret_names is now slowhound.redaction.names; version 0.2 removes the old name",
    DeprecationWarning,
    stacklevel=2,
)
