"""The Django application: registers the system checks, and what the setting TASKS names."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings

from slowhound.config.config import load
from slowhound.lifecycle.commands import record_commands
from slowhound.lifecycle.django_tasks import record_django_tasks
from slowhound.system.guard import guard


class SlowhoundConfig(AppConfig):
    """``"slowhound"`` in ``INSTALLED_APPS``."""

    name = "slowhound"
    verbose_name = "slowhound"

    def ready(self) -> None:
        """Registers the checks, and records the background work that the settings name."""
        with guard("settings"):
            from slowhound.config import checks  # noqa: F401  importing registers them

            # Not get_config(), which caches what it has read: not all apps are loaded by now.
            config = load(getattr(settings, "SLOWHOUND", {}))
            if config.enabled and "commands" in config.tasks:
                record_commands()
            if config.enabled and "django.tasks" in config.tasks:
                record_django_tasks()
