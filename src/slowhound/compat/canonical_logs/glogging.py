"""``Logger``."""

from slowhound.gunicorn.logger import Logger

__all__ = ["Logger"]
