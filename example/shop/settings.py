"""Settings of the example shop. slowhound's are marked; the rest is as in any small site."""

import os
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = os.environ.get("SHOP_DEBUG") == "1"
SECRET_KEY = "an example keeps no secrets"  # noqa: S105
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "slowhound",  # slowhound
    "django.contrib.staticfiles",
    "shop",
]

MIDDLEWARE = [
    "slowhound.middleware.SlowhoundMiddleware",  # slowhound: first, so that it sees everything
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

# slowhound: on a real site, a request would be slow after a longer time.
SLOWHOUND = {"SLOW_AFTER": 1.0, "SAMPLE_AFTER": 0.5}
if "SLOWHOUND_DIR" in os.environ:
    SLOWHOUND["DIR"] = os.environ["SLOWHOUND_DIR"]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("SHOP_DB", BASE_DIR / "shop.sqlite3"),
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": ["shop.context.request_id"]},
    }
]

ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
ASGI_APPLICATION = "shop.asgi.application"
STATIC_URL = "/static/"
USE_I18N = False
TIME_ZONE = "UTC"

# The service that tells how long a parcel takes; /outbound/ calls it.
COURIER_URL = os.environ.get("SHOP_COURIER_URL", "")
