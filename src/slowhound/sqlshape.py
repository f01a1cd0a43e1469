"""The former name of ``redaction.sql``, for code that imports it; it goes with version 0.2."""

from slowhound.redaction.sql.shape import _shape, double_quotes_are_text, sql_shape, sql_statement

__all__ = ["_shape", "double_quotes_are_text", "sql_shape", "sql_statement"]
