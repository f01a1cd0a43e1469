"""Keeps the former name ``slowhound.redact`` until version 0.2; now ``slowhound.redaction``."""

import warnings

from slowhound.redaction.masking import extend, message, short_text, text
from slowhound.redaction.source.lines import source
from slowhound.redaction.structures import masked, value_of
from slowhound.redaction.urls import query_string, url

__all__ = [
    "extend",
    "masked",
    "message",
    "query_string",
    "short_text",
    "source",
    "text",
    "url",
    "value_of",
]

warnings.warn(
    "slowhound.redact is now slowhound.redaction; version 0.2 removes the old name",
    DeprecationWarning,
    stacklevel=2,
)
