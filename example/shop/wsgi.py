"""The shop for Gunicorn: Django, with WhiteNoise in front for the static files."""

import os
from pathlib import Path

from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")

# Django never sees a request for a static file; slowhound sees it, in Gunicorn.
application = WhiteNoise(
    get_wsgi_application(),
    root=Path(__file__).resolve().parent / "static",
    prefix="static/",
)
