"""The former name of ``slowhound.redaction.sql``; it goes with version 0.2."""

import warnings

from slowhound.redaction.sql.shape import _shape, double_quotes_are_text, sql_shape, sql_statement

__all__ = ["_shape", "double_quotes_are_text", "sql_shape", "sql_statement"]

warnings.warn(
    "slowhound.sqlshape is now slowhound.redaction.sql; the old name goes with version 0.2",
    DeprecationWarning,
    stacklevel=2,
)
