"""The Django application: it registers the system checks and starts nothing."""

from __future__ import annotations

from django.apps import AppConfig


class SlowhoundConfig(AppConfig):
    """``"slowhound"`` in ``INSTALLED_APPS``."""

    name = "slowhound"
    verbose_name = "slowhound"

    def ready(self) -> None:
        """Registers the checks."""
        from slowhound import checks  # noqa: F401  importing registers them
