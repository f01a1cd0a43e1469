"""WSGI applications: the plain one, and one that serves files before Django sees the request."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

from tests.site.options import HERE, OPTIONS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.site.settings")
application = get_wsgi_application()
static_first = WhiteNoise(application, root=str(HERE / "static"), prefix="static/")

if OPTIONS.get("warm"):
    from django.db import connection
    from django.urls import get_resolver

    connection.ensure_connection()
    assert get_resolver().url_patterns  # imports the views
