"""The application, with static files before Django."""

import os

from django.core.wsgi import get_wsgi_application
from whitenoise import WhiteNoise

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
application = WhiteNoise(get_wsgi_application())
application.add_files(os.path.join(os.path.dirname(__file__), "static"), prefix="static/")
