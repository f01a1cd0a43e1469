"""The former name of what is in ``redaction``, for code that imports it; it goes with 0.2."""

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
