"""WSGI applications: the plain one, and one that serves files before Django sees the request."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

from tests.site.options import HERE, OPTIONS, import_views, is_soon_slow

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.site.settings")
application = get_wsgi_application()
static_first = WhiteNoise(application, root=str(HERE / "static"), prefix="static/")

if OPTIONS.get("warm") or is_soon_slow():
    import_views()
if OPTIONS.get("warm"):
    from django.db import connection

    connection.ensure_connection()
