"""Keeps the former name ``slowhound.sqlshape`` until version 0.2."""

import warnings

from slowhound.redaction.sql.shape import _shape, double_quotes_are_text, sql_shape, sql_statement

__all__ = ["_shape", "double_quotes_are_text", "sql_shape", "sql_statement"]

warnings.warn(
    "slowhound.sqlshape is now slowhound.redaction.sql; version 0.2 removes the old name",
    DeprecationWarning,
    stacklevel=2,
)
