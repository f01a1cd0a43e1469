"""``LogFmt``, which formats a context as a line."""

from __future__ import annotations

from typing import Any

from slowhound.compat.canonical_logs.event_context import EventContext
from slowhound.event import formats


class LogFmt:
    """The predecessor's formatter; backslashes and control characters are escaped as well."""

    @classmethod
    def format_string(cls, value: str) -> str:
        """The text between its quotes."""
        return f'"{formats.text_of(value)}"'

    @classmethod
    def format_value(cls, value: Any) -> str:
        """Any value; a float keeps all its digits, as in the original."""
        return cls.format_string("" if value is None else cls._text(value))

    @classmethod
    def _text(cls, value: Any) -> str:
        return ("true" if value else "false") if isinstance(value, bool) else format(value)

    @classmethod
    def normalize_key(cls, key: str) -> str:
        """A key that cannot end its field."""
        return formats.key_of(key)

    @classmethod
    def format(cls, context: EventContext) -> str:
        """The line of a whole context."""
        return " ".join(
            f"{cls.normalize_key(f'{namespace}_{key}')}={cls.format_value(value)}"
            for namespace, fields in context.raw_items()
            for key, value in fields.items()
        )
