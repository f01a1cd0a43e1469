"""The former name of ``redaction.names``, for code that imports it; it goes with version 0.2."""

from slowhound.redaction.names import is_secret

__all__ = ["is_secret"]
