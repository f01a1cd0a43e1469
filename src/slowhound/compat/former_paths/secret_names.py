"""The former name of ``slowhound.redaction.names``, which version 0.2 removes."""

import warnings

from slowhound.redaction.names import is_secret

__all__ = ["is_secret"]

warnings.warn(
    "slowhound.secret_names is now slowhound.redaction.names; version 0.2 removes the old name",
    DeprecationWarning,
    stacklevel=2,
)
