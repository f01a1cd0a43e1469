"""The former name of ``slowhound.redaction.names``; it goes with version 0.2."""

import warnings

from slowhound.redaction.names import is_secret

__all__ = ["is_secret"]

warnings.warn(
    "slowhound.secret_names is now slowhound.redaction.names; the old name goes with version 0.2",
    DeprecationWarning,
    stacklevel=2,
)
