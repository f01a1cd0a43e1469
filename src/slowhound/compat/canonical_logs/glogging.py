"""``Logger``, for Gunicorn's ``logger_class``."""

from slowhound.gunicorn.logger import Logger

__all__ = ["Logger"]
