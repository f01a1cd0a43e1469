"""The WSGI application for Gunicorn in ``served`` and ``idle``."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
